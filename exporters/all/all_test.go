package all_test

import (
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/windsock-monitor/windsock/checks/checktest"
	"github.com/windsock-monitor/windsock/exporters/all"
	"github.com/windsock-monitor/windsock/exporters/exportertest"
)

func TestEveryKindHasItsOwnNameGoodDefaultsAndAPage(t *testing.T) {
	t.Parallel()
	var names []string
	for _, kind := range all.Kinds() {
		if slices.Contains(names, kind.Name) {
			t.Errorf("two kinds are called %q", kind.Name)
		}
		names = append(names, kind.Name)
		if err := kind.Validate(exportertest.Decoder("", "")); err != nil && !needs(kind.Defaults) {
			t.Errorf("%s refuses its own defaults: %v", kind.Name, err)
		}
		if err := checktest.Documented(kind.Defaults); err != nil {
			t.Errorf("%s: %v", kind.Name, err)
		}
		page, err := os.ReadFile("../../docs/exporters/" + kind.Name + ".md")
		if err != nil || !strings.HasPrefix(string(page), "# The `"+kind.Name+"` exporter\n") {
			t.Errorf("%s has no page of its name: %v", kind.Name, err)
		}
	}
	if !slices.IsSorted(names) {
		t.Errorf("the kinds are %v, want them sorted", names)
	}
}

// needs reports whether there are parameters that have no default.
func needs(params any) bool {
	for field := range reflect.TypeOf(params).Fields() {
		if field.Tag.Get("jsonschema") == "required" {
			return true
		}
	}
	return false
}
