/**
 * Goal: counts of the closing line are those of the report. Method: a report as Bun 1.4.5 wrote it, and odd names.
 */
import { expect, test } from "bun:test";
import { parseJunit } from "./junit.ts";

const REPORT = `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="bun test" tests="4" assertions="4" failures="1" skipped="1" time="0.6">
  <testsuite name="a.test.ts" file="a.test.ts" tests="4">
    <testcase name="a &gt; b &amp;lt; &quot;c&quot;" classname="outer" time="0.3" file="a.test.ts" line="3" assertions="1" />
    <testcase name="fails" classname="" time="0" file="a.test.ts" line="2" assertions="1">
      <failure type="AssertionError" message="&lt;skipped"></failure>
    </testcase>
    <testcase name="later" classname="" time="0" file="a.test.ts" line="3" assertions="0">
      <skipped message="TODO" />
    </testcase>
    <testcase name="last" classname="" time="0" file="a.test.ts" line="9" assertions="0" />
  </testsuite>
</testsuites>`;

test("every case is counted once, with its outcome", () => {
  expect(parseJunit(REPORT)).toEqual([
    { file: "a.test.ts", name: 'outer > a > b &lt; "c"', outcome: "passed" },
    { file: "a.test.ts", name: "fails", outcome: "failed" },
    { file: "a.test.ts", name: "later", outcome: "skipped" },
    { file: "a.test.ts", name: "last", outcome: "passed" },
  ]);
});

test("a report that was cut off has the cases that are whole", () => {
  expect(parseJunit(REPORT.slice(0, REPORT.indexOf("<skipped message")))).toHaveLength(2);
});
