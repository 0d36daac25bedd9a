package main

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/osmoslice/osmoslice/charts"
	"github.com/osmoslice/osmoslice/internal/bundle/oci"
)

// ours begins the repositories of images that are built here anyway.
const ours = "osmoslice/"

// wanted are the full names of the images that charts need as they come: an image
// of a part that is not enabled is left out, and so are ours.
func wanted(names ...string) ([]string, error) {
	var all []string
	for _, chart := range names {
		raw, err := fs.ReadFile(charts.Files(), chart+"/values.yaml")
		if err != nil {
			return nil, err
		}
		var values struct {
			Images map[string]struct{ Repository, Tag string }
			Parts  map[string]yaml.Node `yaml:",inline"`
		}
		if err := yaml.Unmarshal(raw, &values); err != nil {
			return nil, fmt.Errorf("chart %s: %w", chart, err)
		}
		for part, image := range values.Images {
			enabled := struct{ Enabled *bool }{}
			if node, ok := values.Parts[part]; ok {
				if err := node.Decode(&enabled); err != nil {
					return nil, fmt.Errorf("chart %s, %s: %w", chart, part, err)
				}
			}
			if strings.HasPrefix(image.Repository, ours) || enabled.Enabled != nil && !*enabled.Enabled {
				continue
			}
			full, err := oci.FullName(image.Repository + ":" + image.Tag)
			if err != nil {
				return nil, err
			}
			all = append(all, full)
		}
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}
