// Package config is the one configuration of osmosliced. Values come, later
// ones winning, from Default, a YAML file, the environment (OSMOSLICE_ and the
// key in capitals, dots as underscores) and command-line flags (the key with
// dots as dashes). It is read once, by Load; nothing else reads the
// environment. An unknown key, a value of the wrong type or out of range is an
// error that names where it was given and what is allowed.
//
// Secrets are not values here, only names of files; the one exception, a
// password inside a database DSN, is masked by Masked.
package config
