#!/usr/bin/env node
// Stands in for the native `solc` that forge expects: answers `--version` and pipes standard JSON to npm's compiler.
// `--compiler=NAME` takes another of the pinned compilers in node_modules.
'use strict';

const fs = require('node:fs');
const named = process.argv.find((argument) => argument.startsWith('--compiler='));
const solc = require(named ? named.slice('--compiler='.length) : 'solc');

if (process.argv.includes('--version')) {
  process.stdout.write(`solc, the solidity compiler commandline interface\nVersion: ${solc.version()}\n`);
} else {
  process.stdout.write(solc.compile(fs.readFileSync(0, 'utf8')));
}
