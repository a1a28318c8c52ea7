/**
 * Goal: wrong settings are one line that names where; a flag wins over the file.
 * Method: the pure functions, without an agent.
 */
import { describe, expect, test } from "bun:test";
import { agentOptions, readToml } from "./agent-options.ts";
import { CliError } from "./cli-error.ts";

function complaint(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof CliError) return error.message;
    throw error;
  }
  throw new Error("nothing was wrong");
}

describe("the settings of an agent", () => {
  test("come from the file, and flags win", () => {
    const text = 'id = "n1"\ndata = "/d"\nport = 7000\njoin = ["10.0.0.2:7400"]\n';
    const options = agentOptions({ port: 7001, witness: undefined }, { path: "a.toml", text });
    expect(options).toMatchObject({ id: "n1", data: "/d", port: 7001, join: ["10.0.0.2:7400"] });
    expect(options).toMatchObject({ address: "127.0.0.1", found: false, witness: false });
  });

  test("that are no TOML name the line", () => {
    const line = (text: string) => complaint(() => readToml("a.toml", text));
    expect(line('id = "n1"\nport = \n')).toStartWith("a.toml:2: ");
    expect(line('id = "n1"\n\n# x\ndata = /d\n')).toStartWith("a.toml:4: ");
    expect(line('id = "n1"\nid = "n2"\n')).toStartWith("a.toml:2: ");
  });

  test("of a wrong kind name the line and the key", () => {
    const line = (text: string) => complaint(() => agentOptions({}, { path: "a.toml", text }));
    expect(line('id = "n1"\ndata = "/d"\nport = "x"\n')).toStartWith("a.toml:3: port: ");
    expect(line('id = "N 1"\ndata = "/d"\n')).toBe(
      "a.toml:1: id: must be 1 to 32 of a-z, 0-9 and -",
    );
    expect(line('id = "n1"\ncolour = 3\ndata = "/d"\n')).toBe(
      "a.toml:2: colour: is no setting of an agent",
    );
    expect(line('id = "n1"\ndata = "/d"\njoin = ["x"]\n')).toContain("must be ADDRESS:PORT");
    expect(line('id = "n1"\ndata = "/d"\njoin = "x"\n')).toContain("must be a list");
  });

  test("that are misspelt are named before what is missing for it", () => {
    const line = (text: string) => complaint(() => agentOptions({}, { path: "a.toml", text }));
    expect(line('id = "n1"\ndate = "/d"\n')).toBe("a.toml:2: date: is no setting of an agent");
    expect(line('id = "n1"\n')).toBe("--data is missing, and a.toml has no data");
  });

  test("of BMCs and hooks come from flags and files under one name", () => {
    const text = `id = "n1"
data = "/d"
bmc-password-file = "/etc/bmc"
bmc = ["kcs:/dev/ipmi0", "lan://admin@10.0.0.5"]
pet-acknowledge = false
`;
    const options = agentOptions(
      { pet: "0.0.0.0:162", hooksSpool: "/s" },
      { path: "a.toml", text },
    );
    expect(options).toMatchObject({
      bmc: ["kcs:/dev/ipmi0", "lan://admin@10.0.0.5"],
      bmcPasswordFile: "/etc/bmc",
      bmcPollSeconds: 5,
      pet: "0.0.0.0:162",
      petAcknowledge: false,
      hooksTokenFile: null,
      hooksSpool: "/s",
    });
  });

  test("of BMCs that are wrong name line and reason, and repeat no password", () => {
    const head = 'id = "n1"\ndata = "/d"\nbmc-password-file = "/f"\n';
    const line = (rest: string) =>
      complaint(() => agentOptions({}, { path: "a.toml", text: head + rest }));
    expect(line('bmc = "kcs:/dev/ipmi0"')).toStartWith("a.toml:4: bmc: must be a list");
    expect(line('bmc = ["ipmi://x"]')).toStartWith("a.toml:4: bmc: a BMC is named as lan://");
    const secret = line('bmc = ["lan://admin:secret@x"]');
    expect(secret).toStartWith("a.toml:4: bmc: a password does not belong into a URL");
    expect(secret).not.toContain("secret");
    expect(line('hooks-spool = "relative"')).toBe("a.toml:4: hooks-spool: must be a full path");
    const flag = complaint(() => agentOptions({ id: "n1", data: "/d", pet: "162" }, null));
    expect(flag).toBe("--pet: must be ADDRESS:PORT, such as 0.0.0.0:162");
  });

  test("of call home are a manager or more, a destination, and what is told", () => {
    const text = 'manager = ["m1:7443", "https://m2"]\nstand-in = ["n2=serial:/dev/ttyS1"]\n';
    const options = agentOptions(
      { id: "n1", data: "/d", destination: "https://support.example/callhome" },
      { path: "a.toml", text },
    );
    expect(options).toMatchObject({
      manager: ["m1:7443", "https://m2"],
      destination: "https://support.example/callhome",
      callhomeSeverity: "warning",
      heartbeatHours: 24,
      standIn: ["n2=serial:/dev/ttyS1"],
    });
  });

  test("of call home that are wrong name line and reason, and repeat no password", () => {
    const line = (text: string) => complaint(() => agentOptions({}, { path: "a.toml", text }));
    const known = 'id = "n1"\ndata = "/d"\n';
    expect(line(`${known}manager = ["https://u:geheim@m"]\n`)).toStartWith("a.toml:3: manager: ");
    expect(line(`${known}manager = ["https://u:geheim@m"]\n`)).not.toContain("geheim");
    expect(line(`${known}destination = "ftp://d"\n`)).toStartWith("a.toml:3: destination: ");
    expect(line(`${known}callhome-severity = "bad"\n`)).toContain("information, warning");
    expect(line(`${known}stand-in = ["n2"]\n`)).toContain("NODE=URL");
    expect(line(`${known}stand-in = ["n2=ftp://x"]\n`)).toContain("a BMC is named as");
    expect(line(`${known}heartbeat-hours = -1\n`)).toStartWith("a.toml:3: heartbeat-hours: ");
    expect(line(`${known}http-proxy = "socks5://p"\n`)).toContain("http://10.0.0.1:3128");
  });

  test("that are missing or wrong as flags name the flag", () => {
    expect(complaint(() => agentOptions({ id: "n1" }, null))).toBe("--data is missing");
    expect(complaint(() => agentOptions({ id: "n1", data: "/d", port: 70_000 }, null))).toStartWith(
      "--port: ",
    );
    expect(complaint(() => agentOptions({ id: "n1", data: "/d", address: "host" }, null))).toBe(
      "--address: must be an IP address of this node",
    );
  });
});
