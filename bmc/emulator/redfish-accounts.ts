/**
 * Sessions and accounts of the emulated Redfish service.
 *
 * A session is a token that a user and password were given for; it lives until it is deleted or the BMC restarts. Accounts can
 * be read only: they are those of the configuration, and no answer holds a password.
 */
import type { JsonObject } from "../redfish/json.ts";
import { textAt } from "../redfish/json.ts";
import type { RedfishService } from "./redfish.ts";
import { fail, type HttpAnswer, type HttpAsk, reply } from "./redfish-http.ts";
import { collectionOf, link, ROOT } from "./redfish-resources.ts";

const SESSIONS: string = `${ROOT}/SessionService/Sessions`;
const ACCOUNTS: string = `${ROOT}/AccountService/Accounts`;
const ROLES: string = `${ROOT}/AccountService/Roles`;
const ROLE_NAMES: readonly string[] = ["Administrator", "Operator", "ReadOnly"];

function roleOf(privilege: number): string {
  return ROLE_NAMES[4 - Math.max(2, privilege)] ?? "ReadOnly";
}

function sessionResource(id: string, user: string): JsonObject {
  return {
    "@odata.id": `${SESSIONS}/${id}`,
    "@odata.type": "#Session.v1_7_0.Session",
    Id: id,
    Name: "Session",
    UserName: user,
  };
}

function answerSessions(service: RedfishService, ask: HttpAsk): HttpAnswer | null {
  const { method, path } = ask;
  if (path === SESSIONS && method === "POST") return logIn(service, ask);
  if (path === SESSIONS && method === "GET") {
    const members = [...service.sessions.values()].map(({ id }) => link(`${SESSIONS}/${id}`));
    return reply(200, collectionOf(path, "Session", "Sessions", members));
  }
  for (const [token, { id, user }] of service.sessions) {
    if (path !== `${SESSIONS}/${id}`) continue;
    if (method === "GET") return reply(200, sessionResource(id, user.name));
    if (method !== "DELETE") return fail(405, "OperationNotAllowed");
    service.sessions.delete(token);
    return reply(204, null);
  }
  return null;
}

function logIn(service: RedfishService, { body }: HttpAsk): HttpAnswer {
  if (!service.setting.hasSessions) return fail(405, "OperationNotAllowed");
  const name = textAt(body, "UserName");
  const password = textAt(body, "Password");
  if (name === null || password === null) return fail(400, "PropertyMissing");
  const user = service.userNamed(name, password);
  if (user === null) return fail(401, "NoValidSession");
  const token = service.newToken();
  const id = service.newToken().slice(0, 10);
  service.sessions.set(token, { id, user });
  const headers = { "X-Auth-Token": token, Location: `${SESSIONS}/${id}` };
  return reply(201, sessionResource(id, user.name), headers);
}

export function answerAccounts(service: RedfishService, ask: HttpAsk): HttpAnswer | null {
  const session = ask.path.startsWith(SESSIONS) ? answerSessions(service, ask) : null;
  if (session !== null || ask.method !== "GET") return session;
  const found = accountResource(service, ask.path);
  return found === null ? null : reply(200, found);
}

function accountResource(service: RedfishService, path: string): JsonObject | null {
  const users = service.model.state.config.users.filter(({ name }) => name !== "");
  const named = (type: string, rest: JsonObject): JsonObject => ({
    ...{ "@odata.id": path, "@odata.type": type, Id: path.split("/").at(-1) ?? "" },
    ...rest,
  });
  switch (path) {
    case `${ROOT}/SessionService`:
      return named("#SessionService.v1_1_9.SessionService", {
        ...{ Name: "Sessions", ServiceEnabled: true, SessionTimeout: 1800 },
        Sessions: link(SESSIONS),
      });
    case `${ROOT}/AccountService`:
      return named("#AccountService.v1_15_0.AccountService", {
        ...{ Name: "Accounts", ServiceEnabled: true },
        ...{ Accounts: link(ACCOUNTS), Roles: link(ROLES) },
      });
    case ACCOUNTS:
      return collectionOf(
        path,
        "ManagerAccount",
        "Accounts",
        users.map(({ id }) => link(`${ACCOUNTS}/${id}`)),
      );
    case ROLES:
      return collectionOf(
        path,
        "Role",
        "Roles",
        ROLE_NAMES.map((name) => link(`${ROLES}/${name}`)),
      );
  }
  const role = ROLE_NAMES.find((name) => path === `${ROLES}/${name}`);
  if (role !== undefined) {
    return named("#Role.v1_3_1.Role", { Name: role, RoleId: role, IsPredefined: true });
  }
  const user = users.find(({ id }) => path === `${ACCOUNTS}/${id}`);
  if (user === undefined) return null;
  const roleId = roleOf(user.privilege);
  return named("#ManagerAccount.v1_12_0.ManagerAccount", {
    ...{ Name: "Account", UserName: user.name, Password: null, Enabled: true, RoleId: roleId },
    Links: { Role: link(`${ROLES}/${roleId}`) },
  });
}
