"""Semi-discrete transport: Laguerre cells of prescribed area, as polygons and as pixels."""
