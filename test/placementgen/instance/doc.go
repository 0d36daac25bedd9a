// Package instance reads, makes and writes placement instances: a topology that
// changes from step to step and the applications to be placed on it.
//
// An instance is a folder with base.json and steps.jsonl (either may be
// gzipped, with .gz added), of one of two families:
//
//   - vr: one application whose specification changes; nodes in tiers, a complete
//     directed graph whose links take their values from the tiers of their ends;
//     a step states absolute new values of some nodes and links. Facts are what
//     is free, beyond what the application holds.
//   - fogarm: many applications on one ledger; nodes in regions, all links
//     stated; a step states the gross memory of all nodes, which have failed,
//     all links, and which applications were replaced.
//
// Hardware and bandwidth are kept in millionths (of a unit, of a Mbit/s), so
// that decimal facts are exact.
package instance
