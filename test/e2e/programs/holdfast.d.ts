/** What `import … from "holdfast"` gives a program; the agent lays the bundled SDK out for it. */
declare module "holdfast" {
  export const run: typeof import("../../../agent/proxy/sdk/holdfast.ts").run;
}
