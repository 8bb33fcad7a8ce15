module github.com/mcpauth/mcpauth/testdata/bench-bridge

go 1.26.0
