package cli

import (
	"context"
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/osmoslice/osmoslice/internal/version"
)

// importCommand reads files of other orchestrators.
func (s *session) importCommand() *cobra.Command {
	c := group("import", "Take over what another orchestrator describes")
	o := iotorchOptions{}
	apply := false
	t := &cobra.Command{
		Use: "iotorch FILE", Short: "Read an iotorch.toml: show what maps and what does not; --apply orders it",
		Args: args(1, 1, "the file"),
	}
	t.Flags().BoolVar(&apply, "apply", false, "create or converge what maps")
	t.Flags().StringVar(&o.plugin, "plugin", "kubernetes", "domain plugin of the clusters")
	t.Flags().StringVar(&o.gateway, "gateway-product", "edgex", "product of the gateways")
	t.Flags().StringVar(&o.server, "server-product", "mainflux", "product of the servers")
	t.Flags().BoolVar(&o.instantiate, "instantiate", false, "instantiate the slices at once")
	t.RunE = func(cmd *cobra.Command, a []string) error {
		raw, name, err := s.readInput(a[0])
		if err != nil {
			return err
		}
		read, err := readIotorch([]byte(raw), o)
		if err != nil {
			return usagef("%s: %v", name, err)
		}
		return s.takeOver(cmd.Context(), read, apply)
	}
	c.AddCommand(t, s.importComposeCommand(), s.importPrologCommand())
	return c
}

// importComposeCommand reads an application of FogArm.
func (s *session) importComposeCommand() *cobra.Command {
	o := composeOptions{}
	apply, hardware := false, ""
	c := &cobra.Command{
		Use:   "compose docker-compose.yml [requirements.yml]",
		Short: "Read a compose file and FogArm's requirements: show what maps and what does not; --apply orders it",
		Long: "Each service becomes a microElement, each link of the requirements a microData, each image a catalogue entry.\n" +
			"-o order.yaml writes the order into a new file, for slicectl slice apply, and the entries into order-products.yaml,\n" +
			"for slicectl product apply.",
		Args:        args(1, 2, "the compose file, and perhaps the requirements"),
		Annotations: map[string]string{outputFile: "yes"},
	}
	f := c.Flags()
	f.BoolVar(&apply, "apply", false, "create or converge what maps")
	f.StringVar(&o.name, "name", "", "name of the slice; not given: the file's, or its folder's")
	f.StringVar(&o.product, "product", "", "product of the microElements; not given: one is made for each image")
	f.StringToStringVar(&o.products, "product-of", nil, "product of one service: SERVICE=PRODUCT")
	f.StringVar(&hardware, "hardware", "cpu", "what a unit of hardware is: cpu (a core) or memory (a GiB)")
	f.BoolVar(&o.instantiate, "instantiate", false, "instantiate the slice at once")
	c.RunE = func(cmd *cobra.Command, a []string) error {
		if hardware != "cpu" && hardware != "memory" {
			return usagef("--hardware: given %q, allowed: cpu, memory", hardware)
		}
		o.memory = hardware == "memory"
		compose, name, err := s.readInput(a[0])
		if err != nil {
			return err
		}
		needs := ""
		if len(a) > 1 {
			if needs, _, err = s.readInput(a[1]); err != nil {
				return err
			}
		}
		t, err := readCompose(name, []byte(compose), []byte(needs), o)
		if err != nil {
			return usagef("%v", err)
		}
		return s.takeOverAll(cmd.Context(), t, apply)
	}
	return c
}

// importPrologCommand reads FogBrainX's facts.
func (s *session) importPrologCommand() *cobra.Command {
	o := prologOptions{}
	apply := false
	c := &cobra.Command{
		Use: "prolog FILE", Short: "Read FogBrainX's facts: nodes, links and applications; --apply makes it so",
		Long: "Nodes and links become those of one infrastructure, each application an order of microElements. -o order.yaml\n" +
			"writes the orders into a new file, for slicectl slice apply.",
		Args:        args(1, 1, "the file"),
		Annotations: map[string]string{outputFile: "yes"},
	}
	f := c.Flags()
	f.BoolVar(&apply, "apply", false, "create or converge what maps")
	f.StringVar(&o.infrastructure, "infrastructure", "fog", "name of the infrastructure that gets the nodes")
	f.StringVar(&o.plugin, "plugin", "simulated", "domain plugin of that infrastructure")
	f.StringVar(&o.kind, "kind", "FOG", "tier of that infrastructure")
	f.StringVar(&o.product, "product", "process", "product of the microElements")
	f.StringToStringVar(&o.products, "product-of", nil, "product of one service: SERVICE=PRODUCT")
	f.BoolVar(&o.instantiate, "instantiate", false, "instantiate the slices at once")
	c.RunE = func(cmd *cobra.Command, a []string) error {
		raw, name, err := s.readInput(a[0])
		if err != nil {
			return err
		}
		t, err := readProlog([]byte(raw), o)
		if err != nil {
			return usagef("%s: %v", name, err)
		}
		return s.takeOverAll(cmd.Context(), t, apply)
	}
	return c
}

func (s *session) takeOver(ctx context.Context, t *iotorch, apply bool) error {
	if s.structured() && !apply {
		return s.printValue(t)
	}
	if !s.structured() {
		s.printIotorch(t)
	}
	if !apply {
		s.note("nothing was changed; add --apply to order it")
		return nil
	}
	for _, i := range t.Infrastructures {
		if err := s.converge(ctx, nounOf("infrastructure"), i, &changeFlags{}); err != nil {
			return fmt.Errorf("infrastructure %s: %w", i["name"], err)
		}
	}
	for _, o := range t.Slices {
		if err := s.converge(ctx, nounOf("slice"), o, &changeFlags{}); err != nil {
			return fmt.Errorf("slice %s: %w", o["name"], err)
		}
	}
	return nil
}

func (s *session) printIotorch(t *iotorch) {
	for _, i := range t.Infrastructures {
		fmt.Fprintf(s.Out, "k8sclusters.%s → infrastructure %s, %s, plugin %s\n", i["name"], i["name"], i["kind"], i["plugin"])
	}
	for _, o := range t.Slices {
		fmt.Fprintf(s.Out, "iotslices.%s → slice %s\n", o["name"], o["name"])
		for _, list := range memberLists {
			items, _ := o[list].([]any)
			for _, item := range items {
				m, _ := item.(map[string]any)
				fmt.Fprintf(s.Out, "  %s %s%s\n", list, cell(m["name"]), suffix(m))
			}
		}
	}
	for _, n := range t.Notes {
		fmt.Fprintf(s.Out, "! %s: %s\n", clean(n.Where), clean(n.Reason))
	}
}

func suffix(m map[string]any) string {
	switch {
	case m["iotServer"] != nil:
		return fmt.Sprintf(" (%s, feeds %s)", cell(m["product"]), cell(m["iotServer"]))
	case m["product"] != nil:
		return fmt.Sprintf(" (%s)", cell(m["product"]))
	case m["iotGateway"] != nil:
		return fmt.Sprintf(" (%s, at %s)", cell(m["protocol"]), cell(m["iotGateway"]))
	}
	return ""
}

// versionCommand tells the build and, when a service is known, its API's.
func (s *session) versionCommand() *cobra.Command {
	remote := false
	c := &cobra.Command{
		Use: "version", Short: "Print the version, with --remote also the API versions of the service", Args: args(0, 0, "no argument"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := fmt.Fprintf(s.Out, "slicectl %s %s %s/%s\n", version.String(), runtime.Version(), runtime.GOOS, runtime.GOARCH); err != nil || !remote {
				return err
			}
			w, err := s.wire()
			if err != nil {
				return err
			}
			ctx, cancel := s.within(cmd.Context(), callTimeout)
			defer cancel()
			a, err := w.do(ctx, call{method: "GET", path: "/api_versions"})
			if err != nil {
				return err
			}
			return writeYAML(s.Out, a.body)
		},
	}
	c.Flags().BoolVar(&remote, "remote", false, "ask the service for its API versions")
	return c
}
