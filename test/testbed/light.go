package main

import (
	"context"
	"errors"

	"github.com/osmoslice/osmoslice/test/testbed/cluster"
)

func apiserver(context.Context, cluster.Dir, []string) error { return errors.New("TODO") }
func kwok(context.Context, cluster.Dir, []string) error      { return errors.New("TODO") }
