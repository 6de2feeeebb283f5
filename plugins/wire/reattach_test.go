package wire_test

import (
	"net"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-plugin"

	"github.com/windsock-monitor/windsock/plugins/wire"
)

func TestReattachRoundTrip(t *testing.T) {
	want := &plugin.ReattachConfig{
		Protocol: plugin.ProtocolGRPC, ProtocolVersion: 1, Pid: 123, Test: true, Addr: &net.UnixAddr{Name: "/run/it's.sock", Net: "unix"},
	}
	text, err := wire.Reattach("shop", want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := wire.ParseReattach(text)
	if diff := cmp.Diff(map[string]*plugin.ReattachConfig{"shop": want}, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestReattachThatIsNone(t *testing.T) {
	for _, text := range []string{
		"", "x", "[]", `{"shop":1}`, `{"shop":{}}`, `{"shop":{"version":2,"pid":1,"socket":"/a"}}`,
		`{"shop":{"version":1,"pid":0,"socket":"/a"}}`, `{"shop":{"version":1,"pid":1,"socket":"a"}}`,
	} {
		if got, err := wire.ParseReattach(text); err == nil {
			t.Errorf("%s: got %v, want an error", text, got)
		}
	}
}
