package bootstrap

import (
	"iter"
	"strings"
)

// documents are those of a YAML text that are not empty.
func documents(text string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for doc := range strings.SplitSeq("\n"+text, "\n---") {
			if strings.TrimSpace(doc) != "" && !yield(doc) {
				return
			}
		}
	}
}
