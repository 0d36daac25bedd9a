// Package charts checks the Helm charts as they are shipped: rendered by Helm's
// own engine, linted, held against their schemas, compared with golden renders,
// upgraded from the versions before, and every container of every render looked
// at for what a restricted cluster demands. Where an API server is at hand it is
// asked too (dry run).
package charts
