#!/usr/bin/env bash
# semver-compare 1.0.0, compare-version 0.1.2 and version-compare 3.12.0 (npm): Semantic Versioning (2.0.0, 11) has 1.0.0-rc.1 before 1.0.0,
# beta.2 before beta.11, alpha before beta, and 1.0.0+1 equal to 1.0.0. compare-version has the candidate as the newer one and
# 1.2.3-rc1 equal to 1.2.3; for all three alpha and beta are equal, and for semver-compare beta.2 and beta.11
# too; 1.0.0+1 is older than 1.0.0 for two of them. A device that asks "is there something newer" stays at the
# candidate or takes a build again and again. semver 7.7.3 has all of them right.
# Needs node and npm.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund semver@7.7.3 semver-compare@1.0.0 compare-version@0.1.2 version-compare@3.12.0 >/dev/null
cat > run.js <<'JS'
const pick = module => typeof module === 'function' ? module : module.default ?? module.compare
const comparers = {
  semver: require('semver').compare, 'semver-compare': pick(require('semver-compare')),
  'compare-version': pick(require('compare-version')), 'version-compare': pick(require('version-compare')),
}
const sign = { '-1': 'before', 0: 'equal', 1: 'after' }
for (const [a, b] of [['1.9.0', '1.10.0'], ['1.0.0-rc.1', '1.0.0'], ['1.2.3-rc1', '1.2.3'], ['1.0.0-alpha', '1.0.0-beta'],
  ['1.0.0-beta.2', '1.0.0-beta.11'], ['1.0.0+1', '1.0.0']]) {
  console.log(a, b, Object.entries(comparers).map(([name, compare]) => `${name} ${sign[compare(a, b)]}`).join(', '))
}
JS
node run.js | tee said
cat >want <<'WANT'
1.9.0 1.10.0 semver before, semver-compare before, compare-version before, version-compare before
1.0.0-rc.1 1.0.0 semver before, semver-compare before, compare-version after, version-compare before
1.2.3-rc1 1.2.3 semver before, semver-compare before, compare-version equal, version-compare before
1.0.0-alpha 1.0.0-beta semver before, semver-compare equal, compare-version equal, version-compare equal
1.0.0-beta.2 1.0.0-beta.11 semver before, semver-compare equal, compare-version before, version-compare before
1.0.0+1 1.0.0 semver equal, semver-compare before, compare-version equal, version-compare before
WANT
cmp said want
