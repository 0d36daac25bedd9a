package rest

import "strings"

// list says which of names are allowed, or none.
func list(none string, names []string) string {
	if len(names) == 0 {
		return none
	}
	return "one of " + strings.Join(names, ", ")
}
