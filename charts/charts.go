// Package charts holds the Helm charts that come with the programs, one
// directory each.
package charts

import (
	"embed"
	"io/fs"
)

// all: takes the templates' shared parts too, whose names begin with _.
//
//go:embed all:*
var files embed.FS

// Files are the charts: edgex/Chart.yaml, edgex/values.yaml, …
func Files() fs.FS { return files }
