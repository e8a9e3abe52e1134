"""What people look at, for both halves: templates, forms, live updates, charts, and what keeps them safe."""
