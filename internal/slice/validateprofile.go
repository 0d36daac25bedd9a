package slice

import (
	"fmt"
	"regexp"
)

// maxLatencyMS is a day: above it a latency bounds nothing.
const maxLatencyMS = 86_400_000

const maxRate = 1e12 // kbit/s

var (
	mccRE = regexp.MustCompile(`^[0-9]{3}$`)
	mncRE = regexp.MustCompile(`^[0-9]{2,3}$`)
	sdRE  = regexp.MustCompile(`^[0-9A-Fa-f]{6}$`)
)

// Validate lists every wrong attribute of the profile, by its 3GPP name.
func (p *ServiceProfile) Validate() error {
	c := &checks{subject: "serviceProfile"}
	p.check(c, "serviceProfile")
	return c.err()
}

func (p *ServiceProfile) check(c *checks, at string) {
	if p == nil {
		return
	}
	at += "/"
	present(p.MaxNumberofUEs, func(v float64) { c.positive(at+"maxNumberofUEs", v, 1e12, "") })
	present(p.TermDensity, func(v TermDensity) { c.positive(at+"termDensity/density", v.Density, 1e12, "per km2") })
	c.oneOf(at+"uEMobilityLevel", p.UEMobilityLevel, true,
		"STATIONARY", "NOMADIC", "RESTRICTED_MOBILITY", "FULL_MOBILITY")
	present(p.UESpeed, func(v int64) { c.whole(at+"uESpeed", v, 0, 2000) })
	p.checkQuality(c, at)
	p.checkRates(c, at)
	present(p.NBIoT, func(v Support) { v.check(c, at+"nBIoT") })
	present(p.NonIPSupport, func(v Support) { v.check(c, at+"nonIPSupport") })
	present(p.DelayTolerance, func(v Support) { v.check(c, at+"delayTolerance") })
	c.set(at+"accessTechnologies", p.AccessTechnologies, maxList, c.accessTechnology)
	c.areas(at+"coverageArea", p.CoverageArea)
	c.oneOf(at+"networkSliceSharingIndicator", p.NetworkSliceSharing, true, "SHARED", "NON_SHARED")
	if e := p.EnergyEfficiency; e != nil && e.Performance != nil {
		e.Performance.check(c, at+"energyEfficiency/performance")
	}
	present(p.SST, func(v int64) { c.whole(at+"sst", v, 0, 255) })
	c.plmns(at+"plmnInfoList", p.PLMNInfoList)
	present(p.SliceSimultaneousUse, func(v int64) { c.whole(at+"sliceSimultaneousUse", v, 0, 4) })
	present(p.KPIMonitoring, func(v KPIMonitoring) {
		c.set(at+"kPIMonitoring/kPIList", v.KPIList, maxList, func(f, k string) { c.nonEmpty(f, k, 253) })
	})
}

func (p *ServiceProfile) checkQuality(c *checks, at string) {
	for _, f := range []struct {
		name string
		v    *float64
	}{
		{"dLLatency", p.DLLatency}, {"uLLatency", p.ULLatency}, {"jitter", p.Jitter},
		{"dLPktDelayVariation", p.DLPktDelayVariation}, {"uLPktDelayVariation", p.ULPktDelayVariation},
	} {
		present(f.v, func(v float64) { c.positive(at+f.name, v, maxLatencyMS, "ms") })
	}
	for _, f := range []struct {
		name string
		v    *float64
	}{{"availability", p.Availability}, {"dLReliability", p.DLReliability}, {"uLReliability", p.ULReliability}} {
		present(f.v, func(v float64) { c.positive(at+f.name, v, 100, "%") })
	}
}

func (p *ServiceProfile) checkRates(c *checks, at string) {
	for _, f := range []struct {
		name string
		v    *Throughput
	}{
		{"dLThptPerSlice", p.DLThptPerSlice}, {"uLThptPerSlice", p.ULThptPerSlice},
		{"dLThptPerUE", p.DLThptPerUE}, {"uLThptPerUE", p.ULThptPerUE},
	} {
		present(f.v, func(t Throughput) {
			present(t.GuaThpt, func(v float64) { c.number(at+f.name+"/guaThpt", v, 0, maxRate, "kbit/s") })
			present(t.MaxThpt, func(v float64) { c.positive(at+f.name+"/maxThpt", v, maxRate, "kbit/s") })
			if t.GuaThpt != nil && t.MaxThpt != nil && *t.GuaThpt > *t.MaxThpt {
				c.wrong(at+f.name+"/guaThpt", *t.GuaThpt, "at most maxThpt, "+show(*t.MaxThpt)+" kbit/s")
			}
		})
	}
	present(p.MaxNumberofPDUSess, func(v MaxNumberofPDUSess) {
		c.whole(at+"maxNumberofPDUSessions/nOofPDUSessions", v.NOofPDUSessions, 1, maxQuantity)
	})
	present(p.DLMaxPktSize, func(v MaxPktSize) { c.whole(at+"dLMaxPktSize/maxsize", v.Maxsize, 1, 1<<20) })
	present(p.ULMaxPktSize, func(v MaxPktSize) { c.whole(at+"uLMaxPktSize/maxsize", v.Maxsize, 1, 1<<20) })
}

func (s Support) check(c *checks, at string) {
	c.oneOf(at+"/support", s.Support, false, "SUPPORTED", "NOT_SUPPORTED")
}

func (e EEPerfReq) check(c *checks, at string) {
	c.oneOf(at+"/kpiType", e.KPIType, false, "MAXREGSUBS", "MEANACTIVEUES")
	c.positive(at+"/req", e.Req, 1e15, "")
}

func (c *checks) areas(at string, areas []GeoArea) {
	if len(areas) > maxList {
		c.wrong(at, len(areas), fmt.Sprintf("at most %d areas", maxList))
		return
	}
	for i, a := range areas {
		f := fmt.Sprintf("%s/%d/convexGeoPolygon", at, i)
		if n := len(a.ConvexGeoPolygon); n < 3 || n > 1000 {
			c.wrong(f, fmt.Sprintf("%d corners", n), "3 to 1000 corners")
			continue
		}
		for j, g := range a.ConvexGeoPolygon {
			c.position(fmt.Sprintf("%s/%d", f, j), g.Latitude, g.Longitude)
		}
	}
}

func (c *checks) plmns(at string, list []PLMNInfo) {
	if len(list) > maxList {
		c.wrong(at, len(list), fmt.Sprintf("at most %d entries", maxList))
		return
	}
	for i, p := range list {
		f := fmt.Sprintf("%s/%d", at, i)
		c.pattern(f+"/plmnId/mcc", p.PLMNID.MCC, mccRE, false, "three digits")
		c.pattern(f+"/plmnId/mnc", p.PLMNID.MNC, mncRE, false, "two or three digits")
		c.whole(f+"/snssai/sst", p.SNSSAI.SST, 0, 255)
		c.pattern(f+"/snssai/sd", p.SNSSAI.SD, sdRE, true, "six hexadecimal digits")
	}
}
