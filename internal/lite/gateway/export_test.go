package gateway

// Totals are the persistent counters by "group/key".
func (g *Gateway) Totals() map[string]uint64 {
	t := g.engine.totals()
	out := map[string]uint64{}
	for c, name := range counterNames {
		key := name[0]
		if name[1] != "" {
			key += "/" + name[1]
		}
		out[key] = t[c]
	}
	return out
}

// DroppedCommands is how many commands the broker dropped on their way.
func (g *Gateway) DroppedCommands() int64 { return g.mqtt.Load().Dropped() }
