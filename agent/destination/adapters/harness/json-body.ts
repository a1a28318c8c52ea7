/** What the far ends of tests have in common: JSON answers, and texts of a JSON body. */
export function json(status: number, body: unknown): Response {
  return Response.json(body, { status });
}

/** "" where it is missing or no text. */
export function textAt(body: unknown, name: string): string {
  const value = (body as Record<string, unknown> | null)?.[name];
  return typeof value === "string" ? value : "";
}
