/**
 * Files that the build makes and the executable carries (`import path from "…" with { type: "file" }`): the value is a path
 * that `Bun.file` reads, under `bun` as in the executable.
 */
declare module "*.bin" {
  const path: string;
  export default path;
}
