package sdk_test

import (
	"testing"
	"unicode/utf8"

	"google.golang.org/grpc"

	pluginv1 "github.com/windsock-monitor/windsock/plugins/proto/windsock/plugin/v1"
	"github.com/windsock-monitor/windsock/plugins/sdk"
	"github.com/windsock-monitor/windsock/plugins/sdk/internal/shop"
	"github.com/windsock-monitor/windsock/plugins/wire"
)

// unserved is a plugin without a socket.
type unserved struct{ base pluginv1.BasePluginServer }

func (u *unserved) RegisterService(_ *grpc.ServiceDesc, implementation any) {
	if base, ok := implementation.(pluginv1.BasePluginServer); ok {
		u.base = base
	}
}

// Whatever the parameters are, they make an instance or diagnostics that a person can read, at places that a host can find.
func FuzzConfigure(f *testing.F) {
	s, err := sdk.NewServer(shop.Plugin())
	if err != nil {
		f.Fatal(err)
	}
	var plugin unserved
	s.Register(&plugin)
	for _, config := range []string{
		`{"url":"http://a","says":"ok","wait":"1d5s","budget":0.05,"password":{"secret":"p"},"hosts":[{"name":"a","port":1}],"to":["a"]}`,
		`{"url":1,"headers":{"a.b":{"env":"x"}},"retries":1e2,"ratio":-0.5,"any":[{"a":null}],"want":"ok"}`, `[]`, `{"budget":1e-13}`, ``,
	} {
		f.Add([]byte(config))
	}
	f.Fuzz(func(t *testing.T, config []byte) {
		r, err := plugin.base.Configure(t.Context(), &pluginv1.ConfigureRequest{InstanceId: "i", Kind: "login", ConfigJson: config})
		if err != nil {
			t.Fatalf("%q: %v", config, err)
		}
		for _, d := range r.GetDiagnostics() {
			if p := d.GetPointer(); p != "" && p[0] != '/' || !utf8.ValidString(p) {
				t.Errorf("%q: pointer %q is none", config, p)
			}
			if text := d.GetSummary(); text == "" || wire.Line(text) != text {
				t.Errorf("%q: summary %q, want one line", config, text)
			}
		}
	})
}
