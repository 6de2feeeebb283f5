package sdk_test

import (
	"os/exec"
	"testing"

	"github.com/hashicorp/go-plugin"

	"github.com/windsock-monitor/windsock/checks"
	pluginv1 "github.com/windsock-monitor/windsock/plugins/proto/windsock/plugin/v1"
	"github.com/windsock-monitor/windsock/plugins/wire"
)

// What a plugin adds: a process of its own, with mutual TLS, as the agent has it.
func BenchmarkProcess(b *testing.B) {
	_, c := hosted(b, &plugin.ClientConfig{Cmd: exec.Command(built(b))}) //nolint:noctx // go-plugin ends it
	for id, config := range map[string]*pluginv1.ConfigureRequest{
		"check": {Kind: "login", ConfigJson: []byte(`{"url":"http://a"}`)}, "lake": {Kind: "lake", ConfigJson: []byte(`{"answer":"retry"}`)},
	} {
		config.InstanceId = id
		if _, err := c.Configure(b.Context(), config); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("run", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			r, err := c.Run(b.Context(), &pluginv1.RunRequest{InstanceId: "check"})
			if err != nil {
				b.Fatal(err)
			}
			if _, err := wire.ResultFromProto(r.GetResult()); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("export of 500", func(b *testing.B) {
		batch := make([]checks.Record, 500)
		for i := range batch {
			batch[i] = checks.OfReport(&checks.Report{ID: "r", Check: "login", Kind: "shop/login", Labels: map[string]string{"team": "a"}, Result: checks.Result{
				Status: checks.OK, Summary: "200 in 12ms", Measurements: []checks.Measurement{{Name: "http.status", Value: 200}, {Name: "http.size", Value: 1234, Unit: "By"}},
			}})
		}
		for b.Loop() {
			if _, err := c.Export(b.Context(), &pluginv1.ExportRequest{InstanceId: "lake", Records: wire.RecordsToProto(batch)}); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.N)*500/b.Elapsed().Seconds(), "records/s")
	})
}
