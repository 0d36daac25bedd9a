package senml_test

import (
	"fmt"
	"testing"

	"github.com/osmoslice/osmoslice/internal/senml"
)

// uplinkPack is what a gateway sends: 100 readings of 10 devices.
func uplinkPack() senml.Pack {
	p := make(senml.Pack, 100)
	for i := range p {
		p[i] = senml.Record{Name: fmt.Sprintf("device-%d/temperature", i%10), Unit: "Cel", Time: float64(i) / 10, Value: senml.Float(20 + float64(i)/8)}
	}
	p[0].BaseName, p[0].BaseTime = "urn:gateway:1:", 1_800_000_000
	return p
}

func BenchmarkDecode(b *testing.B) {
	for name, encode := range map[string]func(senml.Pack) ([]byte, error){"JSON": senml.EncodeJSON, "CBOR": senml.EncodeCBOR} {
		in, err := encode(uplinkPack())
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(in)))
			b.ReportAllocs()
			for b.Loop() {
				p, err := senml.Decode(in, senml.Limits{})
				if err != nil {
					b.Fatal(err)
				}
				if _, err := senml.Resolve(p, now); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(100*float64(b.N)/b.Elapsed().Seconds(), "records/s")
		})
	}
}

func BenchmarkEncode(b *testing.B) {
	p := uplinkPack()
	for name, appendTo := range map[string]func([]byte, senml.Pack) ([]byte, error){"JSON": senml.AppendJSON, "CBOR": senml.AppendCBOR} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var buf []byte
			var err error
			for b.Loop() {
				if buf, err = appendTo(buf[:0], p); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
