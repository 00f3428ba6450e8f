#!/usr/bin/env node
// A review of nothing. Fails where its dependency was not installed with it.
console.log(require('report').of(process.argv.slice(2)));
