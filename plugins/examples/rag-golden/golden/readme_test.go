package golden_test

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/windsock-monitor/windsock/plugins/examples/rag-golden/golden"
)

func TestTheReadmeSaysWhatThereIs(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := []string{golden.Kind().Doc}
	for _, params := range []any{golden.Kind().Defaults, golden.Question{}} {
		for field := range reflect.TypeOf(params).Fields() {
			name, _, _ := strings.Cut(field.Tag.Get("yaml"), ",")
			rows = append(rows, "| `"+name+"` |", strings.ReplaceAll(field.Tag.Get("jsonschema_description"), `\"`, `"`))
		}
	}
	for _, m := range golden.Measurements() {
		rows = append(rows, fmt.Sprintf("| `%s` | %s | %s |", m.Name, m.Unit, m.Description))
	}
	for _, row := range rows {
		if !strings.Contains(string(page), row) {
			t.Errorf("the README does not say: %s", row)
		}
	}
}

func TestTheGoldenSetOfTheReadmeIsGood(t *testing.T) {
	t.Parallel()
	path, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	if err := validate(path + "/../golden.yaml"); err != nil {
		t.Error(err)
	}
}
