package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// taken is what a foreign file becomes: a place with its nodes and links, orders,
// what each part turned into, and a note for everything that does not map, or
// not as it was.
type taken struct {
	Infrastructures []map[string]any `json:"infrastructures,omitempty"`
	Inventory       map[string]any   `json:"inventory,omitempty"` // of the only infrastructure
	Products        []map[string]any `json:"products,omitempty"`
	Slices          []map[string]any `json:"iotSlices"`
	Mapped          []string         `json:"mapped"`
	Notes           []iotorchNote    `json:"notMapped"`
}

func newTaken() *taken {
	return &taken{Slices: []map[string]any{}, Mapped: []string{}, Notes: []iotorchNote{}}
}

func (t *taken) note(where, format string, args ...any) {
	t.Notes = append(t.Notes, iotorchNote{where, fmt.Sprintf(format, args...)})
}

func (t *taken) maps(format string, args ...any) {
	t.Mapped = append(t.Mapped, fmt.Sprintf(format, args...))
}

// named reports whether a name can be taken over, and notes it when not.
func (t *taken) named(where, name string) bool {
	if orchNameRE.MatchString(name) {
		return true
	}
	t.note(where, "the name can hold only letters, digits, '.', '_' and '-', at most 63")
	return false
}

// outputFile marks commands whose -o may also name a file for the orders.
const outputFile = "output-file"

// intoFile takes -o FILE.yaml of a command that writes orders into files.
func (s *session) intoFile(cmd *cobra.Command) bool {
	file := s.flags.output
	if cmd.Annotations[outputFile] == "" || !slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(file)) {
		return false
	}
	s.flags.output, s.orderFile = "table", file
	return true
}

// takeOverAll shows what was taken, writes the orders where -o says, and with
// apply makes it so.
func (s *session) takeOverAll(ctx context.Context, t *taken, apply bool) error {
	if s.orderFile != "" {
		if err := s.writeTaken(t); err != nil {
			return err
		}
	}
	if s.structured() && !apply {
		return s.printValue(t)
	}
	if !s.structured() {
		for _, m := range t.Mapped {
			fmt.Fprintln(s.Out, clean(m))
		}
		for _, n := range t.Notes {
			fmt.Fprintf(s.Out, "! %s: %s\n", clean(n.Where), clean(n.Reason))
		}
	}
	if !apply {
		if s.orderFile != "" {
			products := ""
			if len(t.Products) > 0 {
				products = fmt.Sprintf(", %d products to %s", len(t.Products), productsFile(s.orderFile))
			}
			s.note("%d orders written to %s%s; nothing else was changed", len(t.Slices), s.orderFile, products)
		} else {
			s.note("nothing was changed; add --apply to order it")
		}
		return nil
	}
	for _, i := range t.Infrastructures {
		if err := s.converge(ctx, nounOf("infrastructure"), i, &changeFlags{}); err != nil {
			return fmt.Errorf("infrastructure %s: %w", i["name"], err)
		}
		if len(t.Inventory) == 0 {
			continue
		}
		req := call{method: http.MethodPut, path: "/infrastructures/{id}/inventory", body: t.Inventory}
		if err := s.below(ctx, nounOf("infrastructure"), fmt.Sprint(i["name"]), req, false); err != nil {
			return fmt.Errorf("nodes and links of %s: %w", i["name"], err)
		}
	}
	for _, p := range t.Products {
		if err := s.converge(ctx, nounOf("product"), p, &changeFlags{}); err != nil {
			return fmt.Errorf("product %s: %w", p["name"], err)
		}
	}
	for _, o := range t.Slices {
		if err := s.converge(ctx, nounOf("slice"), o, &changeFlags{}); err != nil {
			return fmt.Errorf("slice %s: %w", o["name"], err)
		}
	}
	return nil
}

// writeTaken writes the orders, and the products they need beside them: both, or
// neither.
func (s *session) writeTaken(t *taken) error {
	if len(t.Products) == 0 {
		return writeOrders(s.orderFile, t.Slices)
	}
	file := productsFile(s.orderFile)
	if err := writeOrders(file, t.Products); err != nil {
		return err
	}
	if err := writeOrders(s.orderFile, t.Slices); err != nil {
		return errors.Join(err, os.Remove(file))
	}
	return nil
}

// productsFile is where the products of an order go: order-products.yaml beside
// order.yaml.
func productsFile(order string) string {
	ext := filepath.Ext(order)
	return strings.TrimSuffix(order, ext) + "-products" + ext
}

// writeOrders writes orders into a new file: YAML documents, or JSON. One that
// is there is not overwritten.
func writeOrders(file string, orders []map[string]any) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return usagef("-o %s: the file exists already", file)
	}
	if err != nil {
		return usagef("-o: %v", err)
	}
	err = encodeOrders(f, orders)
	return errors.Join(err, f.Close())
}

func encodeOrders(f *os.File, orders []map[string]any) error {
	if strings.HasSuffix(f.Name(), ".json") {
		enc := json.NewEncoder(f)
		enc.SetIndent("", "  ")
		if len(orders) == 1 {
			return enc.Encode(orders[0])
		}
		return enc.Encode(orders)
	}
	for i, o := range orders {
		if i > 0 {
			if _, err := fmt.Fprintln(f, "---"); err != nil {
				return err
			}
		}
		raw, err := json.Marshal(o)
		if err != nil {
			return err
		}
		if err := writeYAML(f, raw); err != nil {
			return err
		}
	}
	return nil
}
