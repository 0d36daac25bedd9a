package placement

import "strconv"

// describe says in a sentence why a unit could not stay.
func (s *search) describe(d *displacement) string {
	e := &s.elems[d.elem]
	b := append(append(s.text[:0], "node "...), s.snap.ID(e.home)...)
	num := func(head string, v float64, unit string) {
		b = append(strconv.AppendFloat(append(b, head...), v, 'f', -1, 64), unit...)
	}
	switch d.why {
	case whyGone:
		b = append(b, " is not available"...)
	case whyUnsuitable:
		b = append(b, " no longer satisfies its requirements"...)
	case whyNode:
		b = append(append(b, ": "...), dimName(int(d.peer))...)
		num(" ", d.bound+float64(part(s.opts.Headroom.Node, int(d.peer))), " needed with headroom")
		num(" > ", d.value, "")
	case whyNoLink:
		b = append(b, ": no link to or from "...)
	case whyLatency:
		num(": latency ", d.value, " ms")
		num(" > ", d.bound, " ms to or from ")
	case whyLoss:
		num(": loss ", d.value, "")
		num(" > ", d.bound, " to or from ")
	case whyBandwidth:
		num(": ", d.bound, " kbit/s given out")
		num(" > ", d.value, " kbit/s to or from ")
	case whyApart:
		b = append(b, ": must be apart from an element on "...)
	}
	if d.peer >= 0 && d.why != whyNode {
		b = append(b, s.snap.ID(d.peer)...)
	}
	s.text = b
	return string(b)
}

func dimName(d int) string { return [...]string{"cpu", "memory", "storage"}[d] }
