import { removeRun, savedRuns, thisRunner } from './cluster.ts'

for (const run of savedRuns()) if (run.runner === thisRunner()) await removeRun(run)
