package slice

import "reflect"

// profile writes every attribute that the GST names.
func (w *nestWriter) profile(p *ServiceProfile) {
	present(p.MaxNumberofUEs, func(v float64) { w.put(gstMaxUEs, v, "") })
	present(p.TermDensity, func(v TermDensity) { w.put(gstDensity, v.Density, "UEs/km2") })
	w.speed(p.UESpeed)
	w.both("dLLatency", "uLLatency", p.DLLatency, p.ULLatency, func(v float64) {
		w.put(gstDelayBudget, digits(v/1000), "s")
		if digits(digits(v/1000)*1000) != v {
			w.lost("dLLatency, uLLatency (lossy: kept to 12 digits)")
		}
	})
	w.both("dLReliability", "uLReliability", p.DLReliability, p.ULReliability, w.reliability)
	present(p.Availability, func(v float64) { w.put(gstAvailability, v, "%") })
	w.rate("dLThptPerSlice", gstDownlinkSlice, gstGuaranteedDL, gstMaximumDL, p.DLThptPerSlice)
	w.rate("uLThptPerSlice", gstUplinkSlice, gstGuaranteedUL, gstMaximumUL, p.ULThptPerSlice)
	w.rate("dLThptPerUE", gstDownlinkUE, "", "", p.DLThptPerUE)
	w.rate("uLThptPerUE", gstUplinkUE, "", "", p.ULThptPerUE)
	present(p.MaxNumberofPDUSess, func(v MaxNumberofPDUSess) { w.put(gstPDUSessions, v.NOofPDUSessions, "") })
	w.packets(p.DLMaxPktSize, p.ULMaxPktSize)
	w.support(gstNBIoT, p.NBIoT)
	w.support(gstNonIP, p.NonIPSupport)
	w.support(gstDelayTolerance, p.DelayTolerance)
	if len(p.AccessTechnologies) > 0 {
		w.put(gstAccess, p.AccessTechnologies, "")
	}
	if len(p.CoverageArea) > 0 {
		w.put(gstArea, p.CoverageArea, "")
	}
	w.sharing(p.NetworkSliceSharing)
	if e := p.EnergyEfficiency; e != nil && e.Performance != nil {
		w.put(gstEnergy, e.Performance, "")
	}
	present(p.SliceSimultaneousUse, func(v int64) { w.put(gstSimultaneous, v, "") })
	present(p.KPIMonitoring, func(v KPIMonitoring) { w.put(gstMonitoring, v.KPIList, "") })
	w.without(p)
}

// without names what the GST has no attribute for.
func (w *nestWriter) without(p *ServiceProfile) {
	for _, f := range []struct {
		name string
		v    any
	}{
		{"uEMobilityLevel", p.UEMobilityLevel},
		{"jitter", p.Jitter},
		{"dLPktDelayVariation", p.DLPktDelayVariation},
		{"uLPktDelayVariation", p.ULPktDelayVariation},
		{"sst", p.SST},
		{"plmnInfoList", p.PLMNInfoList},
	} {
		if !reflect.ValueOf(f.v).IsZero() {
			w.lost(f.name)
		}
	}
}

// speed answers the smallest class that covers the speed.
func (w *nestWriter) speed(v *int64) {
	if v == nil {
		return
	}
	for i, top := range velocities {
		if *v <= top {
			w.put(gstVelocity, i+1, "")
			if *v != top {
				w.lost("uESpeed (lossy: the GST knows only classes)")
			}
			return
		}
	}
	w.lost("uESpeed (above the highest class)")
}

// both writes one value for a pair of directions: the stricter when they
// differ cannot be known here, so a pair that differs is not written.
func (w *nestWriter) both(dl, ul string, d, u *float64, write func(float64)) {
	switch {
	case d == nil && u == nil:
	case d != nil && u != nil && *d == *u:
		write(*d)
	default:
		if d != nil {
			w.lost(dl + " (the GST has one value for both directions)")
		}
		if u != nil {
			w.lost(ul + " (the GST has one value for both directions)")
		}
	}
}

func (w *nestWriter) reliability(v float64) {
	rate := digits(1 - v/100)
	w.put(gstErrorRate, rate, "")
	if digits(100*(1-rate)) != v {
		w.lost("dLReliability, uLReliability (lossy: kept to 12 digits)")
	}
}

// rate writes a throughput; one without a guaranteed part as a plain number.
func (w *nestWriter) rate(field, name, guaranteed, maximum string, t *Throughput) {
	switch {
	case t == nil:
	case t.GuaThpt == nil:
		present(t.MaxThpt, func(v float64) { w.put(name, v, "kbps") })
	case guaranteed == "":
		present(t.MaxThpt, func(v float64) { w.put(name, v, "kbps") })
		w.lost(field + "/guaThpt")
	default:
		w.put(name+guaranteed, *t.GuaThpt, "kbps")
		present(t.MaxThpt, func(v float64) { w.put(name+maximum, v, "kbps") })
	}
}

func (w *nestWriter) packets(d, u *MaxPktSize) {
	switch {
	case d == nil && u == nil:
	case d != nil && u != nil && *d == *u:
		w.put(gstPacketSize, d.Maxsize, "bytes")
	default:
		w.lost("dLMaxPktSize, uLMaxPktSize (the GST has one value for both directions)")
	}
}

func (w *nestWriter) support(name string, s *Support) {
	if s == nil {
		return
	}
	v := 0
	if s.Support == "SUPPORTED" {
		v = 1
	}
	w.put(name, v, "")
}

func (w *nestWriter) sharing(v string) {
	switch v {
	case "SHARED":
		w.put(gstIsolation, 0, "")
	case "NON_SHARED":
		w.put(gstIsolation, 2, "")
		w.lost("networkSliceSharingIndicator (lossy: written as logical isolation)")
	}
}
