// Command protodoc is a plugin of buf, as protoc-gen-go is one: it writes docs/plugins/reference.md of the comments in the
// .proto files. `make proto` runs it.
package main

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/compiler/protogen"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/pluginpb"
)

func main() {
	protogen.Options{}.Run(func(gen *protogen.Plugin) error {
		gen.SupportedFeatures = uint64(pluginpb.CodeGeneratorResponse_FEATURE_PROTO3_OPTIONAL)
		page := gen.NewGeneratedFile("reference.md", "")
		page.P("# The messages of the plugin protocol")
		page.P()
		page.P("Written by `make proto` of the comments in `plugins/proto/windsock/plugin/v1/*.proto`. [protocol.md](protocol.md) has the")
		page.P("handshake, the life of a process and the rules by which these files change.")
		for _, file := range gen.Files {
			if file.Generate {
				describe(page, file)
			}
		}
		return nil
	})
}

func describe(page *protogen.GeneratedFile, file *protogen.File) {
	for _, service := range file.Services {
		page.P("\n## Service ", service.GoName, "\n\n", text(service.Comments.Leading), "\n")
		page.P("| call | asks | answers | meaning |\n|---|---|---|---|")
		for _, m := range service.Methods {
			page.P(row("`"+m.GoName+"`", link(m.Input.Desc.Name()), link(m.Output.Desc.Name()), text(m.Comments.Leading)))
		}
	}
	for _, message := range file.Messages {
		page.P("\n## ", message.Desc.Name(), "\n\n", text(message.Comments.Leading))
		if len(message.Fields) == 0 {
			continue
		}
		page.P("\n| field | type | number | meaning |\n|---|---|---|---|")
		for _, f := range message.Fields {
			page.P(row("`"+string(f.Desc.Name())+"`", typeOf(f), fmt.Sprint(f.Desc.Number()), text(f.Comments.Leading)))
		}
	}
	for _, enum := range file.Enums {
		page.P("\n## ", enum.Desc.Name(), "\n\n", text(enum.Comments.Leading), "\n\n| value | number | meaning |\n|---|---|---|")
		for _, v := range enum.Values {
			page.P(row("`"+string(v.Desc.Name())+"`", fmt.Sprint(v.Desc.Number()), text(v.Comments.Leading)))
		}
	}
}

// text is a comment on one line.
func text(c protogen.Comments) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(string(c)), " "), "|", `\|`)
}

func row(cells ...string) string { return "| " + strings.Join(cells, " | ") + " |" }

func link(name protoreflect.Name) string {
	return fmt.Sprintf("[%s](#%s)", name, strings.ToLower(string(name)))
}

func typeOf(f *protogen.Field) string {
	switch {
	case f.Desc.IsMap():
		return fmt.Sprintf("map of %s to %s", f.Desc.MapKey().Kind(), f.Desc.MapValue().Kind())
	case f.Desc.IsList():
		return "list of " + single(f)
	case f.Desc.HasOptionalKeyword():
		return single(f) + ", optional"
	case f.Oneof != nil:
		return single(f) + ", one of " + string(f.Oneof.Desc.Name())
	}
	return single(f)
}

func single(f *protogen.Field) string {
	switch {
	case f.Message != nil && f.Message.Desc.ParentFile().Package() == f.Parent.Desc.ParentFile().Package():
		return link(f.Message.Desc.Name())
	case f.Message != nil:
		return string(f.Message.Desc.FullName())
	case f.Enum != nil:
		return link(f.Enum.Desc.Name())
	}
	return f.Desc.Kind().String()
}
