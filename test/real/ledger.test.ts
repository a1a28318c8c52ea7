/**
 * Goal: what `callhome export` writes can be verified by somebody who has none of our code. Method: thirty lines of Python, written from
 * the description at the head of `ledger-chain.ts`, over a real export and over a changed one.
 */
import { describe, expect } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { openLedger } from "../../agent/callhome/io/ledger-file.ts";
import { idOf, TestFolder } from "../../agent/callhome/io/test-outbox.ts";
import { openLocalIdentity } from "../../agent/identity/io/open-identity.ts";
import { realPart } from "../real-part.ts";

const VERIFIER = `
import base64, hashlib, json, sys
from cryptography import x509
from cryptography.hazmat.primitives import serialization

TYPE = "application/vnd.holdfast.ledger+json"

def pae(kind, payload):
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(payload), payload)

def check(line, text):
    envelope = line["checkpoint"]
    assert envelope["payloadType"] == TYPE
    payload = base64.b64decode(envelope["payload"])
    said = json.loads(payload)
    assert (said["n"], said["prev"], said["atMs"]) == (line["n"], line["prev"], line["atMs"])
    signature = envelope["signatures"][0]
    key = x509.load_der_x509_certificate(base64.b64decode(signature["cert"])).public_key()
    spki = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    assert hashlib.sha256(spki).hexdigest() == signature["keyid"]
    key.verify(base64.b64decode(signature["sig"]), pae(TYPE, payload))

before, count = None, 0
for text in open(sys.argv[1], "rb").read().splitlines():
    line = json.loads(text)
    if before is not None:
        assert line["n"] == before[0] + 1 and line["prev"] == before[1], "line %d" % line["n"]
    if "checkpoint" in line:
        check(line, text)
        count += 1
    before = (line["n"], hashlib.sha256(text).hexdigest())
print("%d lines, %d checkpoints" % (before[0], count))
`;

function canVerify(): boolean {
  return Bun.spawnSync(["python3", "-c", "import cryptography"]).exitCode === 0;
}

const python = realPart(
  "python3 with cryptography",
  canVerify,
  "apt-get install python3-cryptography",
);

describe("an exported ledger", () => {
  python(
    "is verified by a program of somebody else, and not when one word is changed",
    async () => {
      using folder = new TestFolder();
      const identity = openLocalIdentity(join(folder.path, "identity"), "agent", "n1");
      const { ledger } = await openLedger(join(folder.path, "ledger"), {
        limits: { checkpointLines: 100 },
        signer: identity.signer,
        nowWallMs: () => Date.now(),
        onFailure: () => undefined,
      });
      for (let number = 1; number <= 500; number++) {
        const path = { kind: "manager", name: "mänager \u{1f9ef}" } as const;
        const reason = `because "${number}" \\ \u2028`;
        ledger.append({ id: idOf(number), step: "sent", path, reason, ticket: null }, Date.now());
      }
      const lines = await new Promise<readonly string[]>((resolve) => ledger.export(resolve));
      await ledger.stop();
      identity.close();
      const script = join(folder.path, "verify.py");
      writeFileSync(script, VERIFIER);
      const verify = (texts: readonly string[]): Bun.SyncSubprocess<"pipe", "pipe"> => {
        const path = join(folder.path, "export.ledger");
        writeFileSync(path, `${texts.join("\n")}\n`);
        return Bun.spawnSync(["python3", script, path]);
      };
      const sound = verify(lines);
      expect(sound.stderr.toString()).toBe("");
      expect(sound.stdout.toString().trim()).toBe(`${lines.length} lines, 7 checkpoints`);
      const forged = verify(
        lines.map((line, index) => (index === 77 ? line.replace("sent", "kept") : line)),
      );
      expect(forged.exitCode).toBe(1);
      expect(forged.stderr.toString()).toContain("line 79");
    },
  );
});
