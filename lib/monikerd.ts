#!/usr/bin/env node
// `monikerd` is `moniker daemon`.
process.argv.splice(2, 0, 'daemon')
void import('./cli.ts')
