//! Any size, any name: no panic, nothing drawn that moves the cursor.
