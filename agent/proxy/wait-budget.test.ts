/** Goal: spinning is given up where it finds nothing, tried again now and then, and never done with one processor. */
import { expect, test } from "bun:test";
import { SPINS_MAX, WaitBudget } from "./wait-budget.ts";

test("a wait that always finds keeps spinning, one that never finds stops", () => {
  const lucky = new WaitBudget(4);
  for (let i = 0; i < 100; i++) lucky.onFound();
  expect(lucky.spins).toBe(SPINS_MAX);
  const idle = new WaitBudget(4);
  let spent = 0;
  for (let i = 0; i < 1000; i++) {
    spent += idle.spins;
    idle.onSleep();
  }
  expect(spent / 1000).toBeLessThan(SPINS_MAX / 100);
});

test("spinning comes back when it pays again", () => {
  const budget = new WaitBudget(4);
  for (let i = 0; i < 1000; i++) budget.onSleep();
  let waits = 0;
  while (budget.spins < SPINS_MAX) {
    waits++;
    if (budget.spins > 0) budget.onFound();
    else budget.onSleep();
    expect(waits).toBeLessThan(200);
  }
});

test("one processor never spins", () => {
  const budget = new WaitBudget(1);
  budget.onFound();
  expect(budget.spins).toBe(0);
});
