// Package charts holds the Helm charts that come with the service, built into
// it: a directory per chart.
package charts

import (
	"embed"
	"io/fs"
)

// Helm's own helper files begin with "_", which only all: takes in.
//
//go:embed all:*
var files embed.FS

// Files are the charts, a directory each.
func Files() fs.FS { return files }
