package fulfilment

import (
	"fmt"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// spreadable refuses an element of several replicas under a policy that spreads
// them: the replicas of one element are placed together, on one node. path is
// where the element stands in the order, "" for itself.
func spreadable(sl *slice.IoTSlice, e *slice.Element, path string) error {
	if e.Replicas <= 1 {
		return nil
	}
	field, spread := "placementPolicy/spread", ""
	switch {
	case e.Placement != nil && e.Placement.Spread != "":
		spread = e.Placement.Spread
		if path != "" {
			field = path + "/" + field
		}
	case sl.Placement != nil:
		spread = sl.Placement.Spread
	}
	if spread == "" {
		return nil
	}
	return fault.Field(field, spread, fmt.Sprintf(
		"spread with replicas 1, one member per place; %q has replicas %d, which are placed together", e.Name, e.Replicas))
}
