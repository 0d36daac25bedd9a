// Package filter reads the attribute filters of ETSI NFV-SOL013 §5.2:
//
//	filter = expression *( ";" expression )
//	expression = "(" op "," attribute "," value *( "," value ) ")"
//	op = eq | neq | gt | gte | lt | lte (one value) | in | nin | cont | ncont
//	attribute = name *( "/" name ), with ~0 for ~, ~1 for /, ~a for , and ~b for @
//	value = plain | "'" quoted "'", a quote in it doubled
//
// A value that contains , ' ( ) or ; must be quoted.
//
// # Invariants
//
// Parse never panics, whatever it is given, and answers at most MaxConditions
// conditions of at most MaxValues values. Format is its inverse: parsing what
// Format writes answers the same conditions.
//
// # Failures
//
// What is not in the grammar is fault.Malformed (400) with the place.
package filter
