package slice

import "strings"

// senmlUnits is the IANA registry of SenML units and secondary units (RFC 8428
// §12.1, RFC 8798 §4 and later registrations).
var senmlUnits = func() map[string]bool {
	const primary = `m kg g s A K cd mol Hz rad sr N Pa J W C V F Ohm S Wb T H Cel lm lx Bq Gy Sv kat
		m2 m3 l m/s m/s2 m3/s l/s W/m2 cd/m2 bit bit/s lat lon pH dB dBW Bspl count / % %RH %EL EL
		1/s 1/min beat/min beats S/m B VA VAs var vars J/m kg/m3 deg NTU`
	const secondary = `ms min h MHz kW kVA kvar Ah Wh kWh varh kvarh kVAh Wh/km KiB GB Mbit/s B/s MB/s
		mV mA dBm ug/m3 mm/h m/h ppm /100 /1000 hPa mm cm km km/h ppb ppt VAh mg/l ug/l g/l`
	units := map[string]bool{}
	for _, u := range strings.Fields(primary + " " + secondary) {
		units[u] = true
	}
	return units
}()

// ValidUnit reports whether u is a registered SenML unit.
func ValidUnit(u string) bool { return senmlUnits[u] }

func (c *checks) unit(field, u string) {
	c.must(u == "" || senmlUnits[u], field, u,
		"a registered SenML unit (RFC 8428 §12.1, RFC 8798), such as Cel, %RH, lx, W, count, /")
}
