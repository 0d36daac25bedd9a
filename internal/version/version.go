// Package version says which build this is; the Makefile sets both at link time.
package version

import "runtime/debug"

// Version is the release ("v0.1.0"), Commit the source revision.
var (
	Version = "dev"
	Commit  = ""
)

// String is "VERSION (COMMIT)". A build without link flags takes the commit
// that the Go tool recorded, if any.
func String() string {
	c := Commit
	if info, ok := debug.ReadBuildInfo(); ok && c == "" {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				c = s.Value
			}
		}
	}
	if c == "" {
		return Version
	}
	return Version + " (" + c + ")"
}
