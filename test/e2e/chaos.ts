/**
 * Chaos on real processes: `bun test/e2e/chaos.ts --rounds 20 --seed 1 [--kills 2]`.
 *
 * Each round strikes a running job at random moments (`chaos/plan.ts`) and checks what has to hold (`chaos/round.ts`). A round is
 * replayed by its own seed; since real processes take their own time, a replay is the same plan, not the same history.
 */
import { parseArgs } from "node:util";
import { describePlan, drawPlan } from "./chaos/plan.ts";
import { ownProcesses, runRound } from "./chaos/round.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "10" },
    seed: { type: "string", default: "1" },
    kills: { type: "string", default: "2" },
    verbose: { type: "boolean", default: false },
  },
});
const [rounds, seed, kills] = [values.rounds, values.seed, values.kills].map(Number);
/** Whoever breaks a round off leaves nothing behind either. */
for (const name of ["SIGINT", "SIGTERM"] as const) {
  process.on(name, () => {
    for (const pid of ownProcesses()) process.kill(pid, "SIGKILL");
    process.exit(1);
  });
}

const counts = { well: 0, resumed: 0, failed: 0 };

for (let round = 0; round < (rounds ?? 0); round++) {
  const plan = drawPlan((seed ?? 0) + round, kills ?? 2);
  const { how, failures, story, folder, ms } = await runRound(plan);
  counts[how]++;
  const took = `${(ms / 1000).toFixed(1)} s`;
  console.log(`${how.padEnd(7)} seed ${plan.seed}  ${took}  ${describePlan(plan)}`);
  if (failures.length > 0 || values.verbose) for (const line of story) console.log(`  ${line}`);
  if (failures.length === 0) continue;
  for (const failure of failures) console.log(`  ${failure}`);
  console.log(`  logs: ${folder}`);
  console.log(`  again: bun test/e2e/chaos.ts --rounds 1 --seed ${plan.seed} --kills ${kills}`);
}
console.log(`${counts.well} ended well, ${counts.resumed} after a resume, ${counts.failed} failed`);
process.exit(counts.failed === 0 ? 0 : 1);
