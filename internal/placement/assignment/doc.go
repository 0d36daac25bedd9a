// Package assignment solves the linear assignment problem: n rows to n columns,
// one to one, at least total cost.
//
// Solve is Jonker and Volgenant's algorithm for dense problems (A shortest
// augmenting path algorithm for dense and sparse linear assignment problems,
// Computing 38, 1987): column reduction, reduction transfer, augmenting row
// reduction, then shortest augmenting paths. A solved Problem can be changed
// row by row and column by column: the dual prices stay feasible for all
// others, so one augmenting path restores the optimum in O(n²).
//
// Plain solves by shortest augmenting paths alone; it is there to check Solve
// and to be compared with.
//
// Invariant of a solved Problem: for every row i, cost(i, its column) less that
// column's price is the least over all columns. That is what proves optimality;
// Verify checks it.
package assignment
