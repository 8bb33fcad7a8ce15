package ownfile

import "os"

// The mode bits say nothing here about who may write; the access control list of
// the user's own folder does, and it is not looked at.
func WritableByOthers(os.FileInfo) string { return "" }

func readableByOthers(os.FileInfo) string { return "" }
