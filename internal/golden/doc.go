// Package golden keeps data directories in archives, for tests that open what earlier versions wrote.
package golden
