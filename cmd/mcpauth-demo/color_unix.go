//go:build unix

package main

import "os"

func hasColors(*os.File) bool { return true }
