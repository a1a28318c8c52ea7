/** `import path from "x.wasm" with { type: "file" }` gives a path, in the compiled binary one inside it. */
declare module "*.wasm" {
  const path: string;
  export default path;
}
