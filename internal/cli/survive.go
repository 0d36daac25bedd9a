package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"
)

var lossColumns = []column{
	{"SLICE", "slice", false}, {"LOST", "kind", false}, {"NAME", "name", false}, {"MEMBERS", "elements", false},
	{"REPLACEABLE", "replaceable", false}, {"THEN", "then", false}, {"ID", "id", true},
}

// surviveCommand shows what single losses would break slices.
func (s *session) surviveCommand() *cobra.Command {
	n := nounOf("slice")
	return &cobra.Command{
		Use: "survive [SLICE…]", Short: "Show which single node, link or infrastructure loss would break a slice, and what would replace it",
		Long: "Without a name: of all slices that run. Nothing is changed; what is shown as replacement is what a heal would find now.",
		Args: args(0, -1, "names or ids of slices"), ValidArgsFunction: s.completeNames(n, nil),
		RunE: func(cmd *cobra.Command, names []string) error {
			ctx, cancel := s.within(cmd.Context(), callTimeout)
			defer cancel()
			ids, err := s.slicesNamed(ctx, names)
			if err != nil {
				return err
			}
			w, err := s.wire()
			if err != nil {
				return err
			}
			all := []json.RawMessage{}
			for _, id := range ids {
				got, err := w.do(ctx, call{method: http.MethodGet, path: "/iotSlices/{id}/survivability", ids: []string{id}})
				if exitCode(err) == exitConflict && len(names) == 0 {
					continue // it has ended meanwhile
				}
				if err != nil {
					return err
				}
				all = append(all, got.body)
			}
			return s.printLosses(ctx, all, len(names) == 1)
		},
	}
}

// slicesNamed are the ids of named slices, or of all that run.
func (s *session) slicesNamed(ctx context.Context, names []string) ([]string, error) {
	var ids []string
	for _, name := range names {
		id, err := s.id(ctx, nounOf("slice"), "", name)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	if len(names) > 0 {
		return ids, nil
	}
	w, err := s.wire()
	if err != nil {
		return nil, err
	}
	rows, err := w.list(ctx, call{path: "/iotSlices", query: map[string][]string{"filter": {"(in,state,ACTIVE,INACTIVE)"}}}, 0)
	for _, row := range rows {
		var v struct{ ID string }
		if err := json.Unmarshal(row, &v); err != nil {
			return nil, fmt.Errorf("the service answered no slice: %w", err)
		}
		ids = append(ids, v.ID)
	}
	return ids, err
}

// survival is the N-1 view of one slice, as it is shown.
type survival struct {
	Slice    string `json:"iotSliceName"`
	SliceID  string `json:"iotSliceId"`
	Survives bool   `json:"survivesAny"`
	Losses   []struct {
		Kind, ID, Name, ToName, Detail string
		Elements                       []string
		Replaceable                    bool
		Moves                          []struct{ Element, From, To, Infrastructure string }
	}
}

func (s *session) printLosses(ctx context.Context, all []json.RawMessage, one bool) error {
	if s.structured() {
		if one && len(all) == 1 {
			return s.printDocument(all[0])
		}
		return s.printList(nil, all)
	}
	var rows []json.RawMessage
	lost, safe := 0, 0
	for _, body := range all {
		var x survival
		if err := json.Unmarshal(body, &x); err != nil {
			return fmt.Errorf("the service answered no losses: %w", err)
		}
		if x.Survives {
			safe++
		}
		for k := range x.Losses {
			raw, err := json.Marshal(s.lossRow(ctx, &x, k))
			if err != nil {
				return err
			}
			rows = append(rows, raw)
			if !x.Losses[k].Replaceable {
				lost++
			}
		}
	}
	if err := s.printTable(lossColumns, rows); err != nil {
		return err
	}
	fmt.Fprintf(s.Out, "%d of %d slices survive every single loss; %d losses have no replacement now\n", safe, len(all), lost)
	return nil
}

func (s *session) lossRow(ctx context.Context, x *survival, k int) map[string]any {
	l := &x.Losses[k]
	name, then := l.Name, s.translated(ctx, x.SliceID, nil, l.Detail)
	if l.ToName != "" {
		name += " – " + l.ToName
	}
	if l.Replaceable {
		moves := make([]string, len(l.Moves))
		for i, m := range l.Moves {
			moves[i] = m.Element + " to " + m.To + " of " + m.Infrastructure
		}
		then = strings.Join(moves, ", ")
	}
	return map[string]any{"slice": x.Slice, "kind": l.Kind, "name": name, "id": l.ID, "elements": l.Elements, "replaceable": l.Replaceable, "then": then}
}
