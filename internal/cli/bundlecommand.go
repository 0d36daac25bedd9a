package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/osmoslice/osmoslice/charts"
	"github.com/osmoslice/osmoslice/internal/bundle"
)

// pushTimeout bounds loading a bundle: images are large and sites slow.
const pushTimeout = time.Hour

// bundleCommand carries slices to sites without a network.
func (s *session) bundleCommand() *cobra.Command {
	c := group("bundle", "Carry a slice's charts and images to a site without a network")
	c.AddCommand(s.bundleCreate(), s.bundleShow(), s.bundleLoad())
	return c
}

func (s *session) bundleCreate() *cobra.Command {
	var file, images string
	var arch []string
	c := &cobra.Command{
		Use: "create ORDER|SLICE -o FILE", Short: "Write a bundle of an order's or a slice's functions",
		Long: "ORDER is a file as \"slice apply -f\" takes it, SLICE the name of a slice at the service. Products are looked up\n" +
			"in the service's catalogue; without a service, a product is the chart of its name.",
		Args: args(1, 1, "an order's file or a slice's name"),
	}
	c.Flags().StringVarP(&file, "output", "o", "", "file to write; it must not exist")
	c.Flags().StringVar(&images, "images", "", "folder with OCI archives of the images; without it the bundle has charts only")
	c.Flags().StringSliceVar(&arch, "arch", nil, "architectures every image must have, and no others: amd64, arm64")
	c.RunE = func(cmd *cobra.Command, a []string) error {
		if file == "" {
			return usagef("-o FILE is missing: where shall the bundle go?")
		}
		for _, x := range arch {
			if !slices.Contains([]string{"amd64", "arm64", "arm"}, x) {
				return usagef("--arch: given %q, allowed: amd64, arm64, arm", x)
			}
		}
		ctx, cancel := s.within(cmd.Context(), callTimeout)
		defer cancel()
		name, functions, err := s.functionsOf(ctx, a[0])
		if err != nil {
			return err
		}
		m, err := bundle.Create(file, name, functions, bundle.Source{Charts: charts.Files(), Images: images, Architectures: arch})
		if err != nil {
			return err
		}
		s.printBundle(m)
		return nil
	}
	return c
}

// functionsOf finds the functions of an order or of a slice, and their charts.
func (s *session) functionsOf(ctx context.Context, ref string) (string, []bundle.Function, error) {
	order, err := s.orderOf(ctx, ref)
	if err != nil {
		return "", nil, err
	}
	var out []bundle.Function
	for _, list := range memberLists {
		items, _ := order[list].([]any)
		for _, item := range items {
			m, _ := item.(map[string]any)
			product, _ := m["product"].(string)
			if product == "" {
				continue // a device or data: no function of its own
			}
			version, _ := m["productVersion"].(string)
			f, err := s.functionOf(ctx, cell(m["name"]), product, version)
			if err != nil {
				return "", nil, err
			}
			out = append(out, f)
		}
	}
	return cell(order["name"]), out, nil
}

// orderOf reads an order's file, or asks the service for a slice with members.
func (s *session) orderOf(ctx context.Context, ref string) (map[string]any, error) {
	if _, err := os.Stat(ref); err == nil || strings.ContainsAny(ref, "/.") {
		return s.readBody(ref)
	}
	w, err := s.wire()
	if err != nil {
		return nil, err
	}
	id, err := s.id(ctx, nounOf("slice"), "", ref)
	if err != nil {
		return nil, err
	}
	order := map[string]any{"name": ref}
	for _, list := range []string{"iotServers", "iotGateways", "microElements"} {
		rows, err := w.list(ctx, call{path: "/iotSlices/{id}/" + list, ids: []string{id}}, 0)
		if err != nil {
			return nil, err
		}
		items := []any{}
		for _, row := range rows {
			v, err := decoded(row)
			if err != nil {
				return nil, err
			}
			items = append(items, v)
		}
		order[list] = items
	}
	return order, nil
}

// functionOf finds a product's chart in the catalogue.
func (s *session) functionOf(ctx context.Context, element, product, version string) (bundle.Function, error) {
	f := bundle.Function{Element: element, Product: product, Chart: product, Values: map[string]any{}}
	if c, err := s.chosen(); err != nil || c.Server == "" {
		return f, nil //nolint:nilerr // no service is known: the product is its chart
	}
	ref := product
	if version != "" {
		ref += "@" + version
	}
	row, err := s.byName(ctx, nounOf("product"), "", ref)
	if err != nil {
		return f, err
	}
	var p struct {
		Packaging map[string]struct {
			Chart *struct {
				Name, Version string
				Values        map[string]any
			} `json:"chart"`
		} `json:"packaging"`
	}
	if err := json.Unmarshal(row, &p); err != nil {
		return f, fmt.Errorf("product %s: the service answered no product: %w", ref, err)
	}
	chart := p.Packaging["kubernetes"].Chart
	if chart == nil {
		return f, usagef("product %s of %s has no chart: its packaging is for %s", ref, element, strings.Join(sortedKeys(p.Packaging), ", "))
	}
	f.Chart, f.Version = chart.Name, chart.Version
	if chart.Values != nil {
		f.Values = chart.Values
	}
	return f, nil
}

func (s *session) bundleShow() *cobra.Command {
	return &cobra.Command{
		Use: "show FILE", Short: "Check a bundle and print what is in it", Args: args(1, 1, "a bundle's file"),
		RunE: func(_ *cobra.Command, a []string) error {
			m, err := bundle.Check(a[0])
			if err != nil {
				return err
			}
			s.printBundle(m)
			return nil
		},
	}
}

func (s *session) printBundle(m *bundle.Manifest) {
	if s.structured() {
		if err := s.printValue(m); err != nil {
			s.note("%v", err)
		}
		return
	}
	fmt.Fprintf(s.Out, "slice %s\n", clean(m.Slice))
	for _, f := range m.Functions {
		fmt.Fprintf(s.Out, "  %s: product %s, chart %s\n", clean(f.Element), clean(f.Product), clean(strings.TrimSuffix(f.Chart+" "+f.Version, " ")))
	}
	for _, i := range m.Images {
		fmt.Fprintf(s.Out, "  image %s (%s)\n", clean(i.Name), clean(strings.Join(i.Platforms, ", ")))
	}
	for _, name := range m.Missing {
		fmt.Fprintf(s.Out, "  image %s is not in the bundle\n", clean(name))
	}
}

// loadFlags say where a bundle goes.
type loadFlags struct {
	to, registry, containerd string
	insecure                 bool
}

func (s *session) bundleLoad() *cobra.Command {
	f := &loadFlags{}
	c := &cobra.Command{
		Use: "load FILE --to DIR | --registry HOST | --containerd SOCKET", Short: "Check a bundle and bring it to the site",
		Args: args(1, 1, "a bundle's file"),
	}
	c.Flags().StringVar(&f.to, "to", "", "new folder for charts, values and the images' archive")
	c.Flags().StringVar(&f.registry, "registry", "", "registry to push the images to, host[:port][/path]; an infrastructure names it as imageRegistry")
	c.Flags().StringVar(&f.containerd, "containerd", "", "socket of the containerd of this machine, usually /run/containerd/containerd.sock")
	c.Flags().BoolVar(&f.insecure, "insecure", false, "the registry may speak plain HTTP")
	c.RunE = func(cmd *cobra.Command, a []string) error {
		if f.to == "" && f.registry == "" && f.containerd == "" {
			return usagef("where to? give --to DIR, --registry HOST or --containerd SOCKET")
		}
		if f.insecure && f.registry == "" {
			return usagef("--insecure says something about --registry, which is not given")
		}
		ctx, cancel := s.within(cmd.Context(), pushTimeout)
		defer cancel()
		return s.loadBundle(ctx, a[0], f)
	}
	return c
}

func (s *session) loadBundle(ctx context.Context, file string, f *loadFlags) error {
	dir := f.to
	if dir == "" {
		work, err := os.MkdirTemp("", "slicectl-bundle-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(work)
		dir = filepath.Join(work, "bundle")
	}
	m, err := bundle.Unpack(file, dir)
	if err != nil {
		return err
	}
	s.printBundle(m)
	if f.registry != "" {
		if err := bundle.Push(ctx, dir, f.registry, f.insecure, s.note); err != nil {
			return err
		}
	}
	if f.containerd != "" {
		if err := bundle.Import(ctx, dir, f.containerd); err != nil {
			return err
		}
		s.note("containerd took %d images", len(m.Images))
	}
	return nil
}
