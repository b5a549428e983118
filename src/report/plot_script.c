/* Scripts for gnuplot 5: curves and heat maps. */
#include <math.h>
#include <string.h>

#include "report/plot.h"

/* "'it''s'": a text as gnuplot's literal, on one line. Nothing between single quotes is a command. */
static void add_quoted(sap__text *script, const char *words) {
  sap__text_add(script, "'");
  for (; *words; words++) {
    const int control = (unsigned char)*words < 0x20 || *words == 0x7F;
    sap__text_add(script, *words == '\'' ? "''" : "%c", control ? '?' : *words);
  }
  sap__text_add(script, "'");
}

static void add_real(sap__text *script, double value) {
  if (isfinite(value))
    sap__text_add(script, " %.9g", value);
  else
    sap__text_add(script, " NaN");
}

/* ---- curves ---- */

/* Lines of x, y, y − sd, y + sd. */
static void add_curve(sap__text *script, const sap__series *series, const sap__figure *figure, size_t place) {
  sap__text_add(script, "$s%zu << END\n", place);
  for (size_t t = 0; t < series->iterations; t++) {
    const sap__stat y = series->stats[figure->y][t];
    const double mean = figure->scale * y.mean, sd = isfinite(y.sd) ? figure->scale * y.sd : 0;
    add_real(script, figure->by_density ? 100 * series->stats[SAP__DENSITY][t].mean : (double)t);
    add_real(script, mean);
    add_real(script, mean - sd);
    add_real(script, mean + sd);
    sap__text_add(script, "\n");
  }
  sap__text_add(script, "END\n");
}

static double smallest_density(const sap__section *section) {
  double least = 0.5; /* an axis needs some length */
  for (size_t i = 0; i < section->series_count; i++)
    for (size_t t = 0; t < section->series[i].iterations; t++) {
      const double density = section->series[i].stats[SAP__DENSITY][t].mean;
      if (density > 0) least = fmin(least, density);
    }
  return least;
}

static double best_of(const sap__section *section, const sap__figure *figure) {
  double best = 0;
  for (size_t i = 0; i < section->series_count; i++)
    for (size_t t = 0; t < section->series[i].iterations; t++)
      best = fmax(best, figure->scale * section->series[i].stats[figure->y][t].mean);
  return best;
}

/* Marks at 1, 2 and 5 of each decade down to the least. */
static void add_decades(sap__text *script, const char *axis, double least) {
  static const double steps[] = {100, 50, 20};
  sap__text_add(script, "set %stics (", axis);
  for (double scale = 1; scale >= 1e-6 && scale * 100 > least; scale /= 10)
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
      sap__text_add(script, "%s%g", scale == 1 && i == 0 ? "" : ", ", steps[i] * scale);
  sap__text_add(script, ")\n");
}

static void add_axes(sap__text *script, const sap__section *section, const sap__figure *figure) {
  const double least = 100 * smallest_density(section);
  sap__text_add(script,
                "set border 3 lc '#59626d' lw 1\nset tics nomirror out scale 0.6 textcolor '#333333'\n"
                "set grid lt 1 lc '#e3e6ea' lw 0.6\nset key outside right top vertical Left reverse samplen 2.5\n"
                "set title ");
  add_quoted(script, figure->title);
  sap__text_add(script, "\nset ylabel ");
  add_quoted(script, figure->label);
  if (figure->by_density) {
    sap__text_add(script, "\nset xlabel 'weights kept, %%'\nset logscale x\nset xrange [100:%.9g]\n", least);
    add_decades(script, "x", least);
  } else {
    sap__text_add(script, "\nset xlabel 'iteration'\nset xrange [0:*]\n");
  }
  if (figure->top > 0) sap__text_add(script, "set yrange [%.9g:*]\n", floor(best_of(section, figure) - figure->top));
  if (!figure->log) return;
  sap__text_add(script, "set logscale y\nset yrange [%.9g:100]\n", least);
  add_decades(script, "y", least);
}

static const char *colour_of(size_t i) { return sap__colours_light[i % SAP__COLOUR_COUNT]; }

/* Whether a point of any curve has a place on the axes. */
static int has_values(const sap__section *section, const sap__figure *figure) {
  for (size_t i = 0; i < section->series_count; i++) {
    sap__stat *const *stats = section->series[i].stats;
    for (size_t t = 0; t < section->series[i].iterations; t++) {
      const double y = stats[figure->y][t].mean;
      if (isfinite(y) && (!figure->log || y > 0) && (!figure->by_density || stats[SAP__DENSITY][t].mean > 0)) return 1;
    }
  }
  return 0;
}

/* What a run cannot show yet: an empty frame that says so, where gnuplot would fail. */
static void plot_nothing(sap__text *script) {
  sap__text_add(script,
                "unset logscale\nset xrange [0:1]\nset yrange [0:1]\nset ytics autofreq\nset xtics autofreq\n"
                "set label 'no values yet' at graph 0.5,0.5 center\nplot NaN notitle\n");
}

void sap__plot_curves(sap__text *script, const sap__section *section, const sap__figure *figure) {
  static const int points[] = {7, 9, 5, 13, 6, 8, 4, 12};
  const size_t count = section->series_count;
  for (size_t i = 0; i < count; i++) add_curve(script, &section->series[i], figure, i);
  add_axes(script, section, figure);
  if (!has_values(section, figure)) {
    plot_nothing(script);
    return;
  }
  sap__text_add(script, "plot ");
  for (size_t i = 0; i < count; i++) /* a band of no width leaves no trace */
    sap__text_add(script,
                  "$s%zu using 1:3:4 with filledcurves fillstyle transparent solid 0.18 noborder fillcolor rgb '%s' "
                  "notitle, ",
                  i, colour_of(i));
  for (size_t i = 0; i < count; i++) {
    sap__text_add(script, "%s$s%zu using 1:2 with linespoints lw 1.8 dt %zu pt %d ps 0.5 lc rgb '%s' title ",
                  i ? ", " : "", i, 1 + i / SAP__COLOUR_COUNT % 5, points[i % 8], colour_of(i));
    add_quoted(script, section->series[i].name);
  }
  sap__text_add(script, "\n");
}

/* ---- layers ---- */

static void add_palette(sap__text *script) {
  sap__text_add(script, "set palette defined (");
  for (int i = 0; i < SAP__HEAT_COUNT; i++) sap__text_add(script, "%s%d '%s'", i ? ", " : "", i, sap__heat_colours[i]);
  sap__text_add(script, ")\n");
}

/* Smallest and largest value of all series, so that their colours mean the same. */
static void find_range(const sap__section *section, int density, double *low, double *high) {
  *low = INFINITY;
  *high = -INFINITY;
  for (size_t i = 0; i < section->series_count; i++) {
    const sap__series *series = &section->series[i];
    for (size_t k = 0; k < series->layer_count; k++)
      for (size_t t = 0; t < series->iterations; t++) {
        const double value = density ? 100 * series->layers[k].density[t] : series->layers[k].pqi[t];
        if (!isfinite(value) || (density && value <= 0)) continue;
        *low = fmin(*low, value);
        *high = fmax(*high, value);
      }
  }
}

/* Its ends and its middle are marked: a panel of few layers has no room for more. */
static void add_heat_range(sap__text *script, double low, double high, double middle) {
  sap__text_add(script, "set cbrange [%.9g:%.9g]\nset cbtics ('%.2g' %.9g, '%.2g' %.9g, '%.3g' %.9g)\n", low, high, low,
                low, middle, middle, high, high);
}

static void add_panel(sap__text *script, const sap__series *series, int density, size_t place) {
  sap__text_add(script, "$h%zu << END\n", place);
  for (size_t k = 0; k < series->layer_count; k++)
    for (size_t t = 0; t < series->iterations; t++) {
      const double value = density ? 100 * series->layers[k].density[t] : series->layers[k].pqi[t];
      sap__text_add(script, "%zu %zu", t, k);
      add_real(script, density && value <= 0 ? NAN : value);
      sap__text_add(script, "\n");
    }
  sap__text_add(script, "END\nset title ");
  add_quoted(script, series->name);
  sap__text_add(script, "\nset xrange [-0.5:%zu.5]\nset yrange [%zu.5:-0.5]\nset ytics (", series->iterations - 1,
                series->layer_count - 1);
  for (size_t k = 0; k < series->layer_count; k++) {
    sap__text_add(script, "%s", k ? ", " : "");
    add_quoted(script, series->layers[k].name);
    sap__text_add(script, " %zu", k);
  }
  sap__text_add(script, ")\nplot $h%zu using 1:2:3 with image notitle\n", place);
}

void sap__plot_layers(sap__text *script, const sap__section *section, int density) {
  size_t panels = 0;
  double low, high;
  find_range(section, density, &low, &high);
  for (size_t i = 0; i < section->series_count; i++) panels += section->series[i].layer_count > 0;
  if (!panels || !isfinite(low)) {
    plot_nothing(script);
    return;
  }
  add_palette(script);
  sap__text_add(script,
                "set border 0\nset tics nomirror scale 0\nset xlabel 'iteration' offset 0,0.6\n"
                "unset key\n");
  if (density) sap__text_add(script, "set logscale cb\n");
  if (high > low) add_heat_range(script, low, high, density ? sqrt(low * high) : (low + high) / 2);
  sap__text_add(script, "set multiplot layout %zu,2 title '%s'\n", (panels + 1) / 2,
                density ? "Density of layers, % of weights kept" : "PQ Index of layers");
  for (size_t i = 0; i < section->series_count; i++)
    if (section->series[i].layer_count) add_panel(script, &section->series[i], density, i);
  sap__text_add(script, "unset multiplot\n");
}

/* ---- phases ---- */

static void add_phase_boxes(sap__text *script, const sap__series *series) {
  sap__text_add(script, "unset object\nunset arrow\n");
  for (int phase = 0; phase < SAP_PHASE_COUNT; phase++) {
    int from, to;
    if (sap__phase_span(series, (sap_phase)phase, &from, &to))
      sap__text_add(script,
                    "set object rectangle from first %d, graph 0 to first %d, graph 1 behind fillcolor rgb '%s' "
                    "fillstyle solid 0.14 noborder\n",
                    from, to, sap__phase_colours[phase]);
  }
  if (series->told.phases.recommended >= 0)
    sap__text_add(script, "set arrow from first %d, graph 0 to first %d, graph 1 nohead dt 2 lc '#333333'\n",
                  series->told.phases.recommended, series->told.phases.recommended);
}

static void add_phase_panel(sap__text *script, const sap__series *series, size_t place) {
  sap__text_add(script, "$p%zu << END\n", place);
  for (size_t t = 0; t < series->iterations; t++) {
    sap__text_add(script, "%zu", t);
    add_real(script, series->stats[SAP__SCOPE_PQI][t].mean);
    add_real(script, 100 * series->stats[SAP__ACCURACY][t].mean);
    sap__text_add(script, "\n");
  }
  sap__text_add(script, "END\nset title ");
  add_quoted(script, series->name);
  sap__text_add(script, "\n");
  add_phase_boxes(script, series);
  sap__text_add(script,
                "plot $p%zu using 1:2 with linespoints lw 1.8 pt 7 ps 0.4 lc rgb '%s' notitle, $p%zu using 1:3 axes "
                "x1y2 with lines lw 1.4 dt 4 lc rgb '#4d4d4d' notitle\n",
                place, sap__colours_light[0], place);
}

/* Whether both of a panel's curves have a point: gnuplot fails without. */
static int has_phase_panel(const sap__series *series) {
  int pqi = 0, accuracy = 0;
  for (size_t t = 0; t < series->iterations; t++) {
    pqi |= series->stats[SAP__SCOPE_PQI][t].n > 0;
    accuracy |= series->stats[SAP__ACCURACY][t].n > 0;
  }
  return pqi && accuracy;
}

void sap__plot_phases(sap__text *script, const sap__section *section) {
  size_t panels = 0;
  for (size_t i = 0; i < section->series_count; i++) panels += has_phase_panel(&section->series[i]) != 0;
  if (!panels) {
    plot_nothing(script);
    return;
  }
  sap__text_add(script,
                "set border 11 lc '#59626d'\nset tics nomirror out scale 0.5\nset xrange [0:*]\nset yrange [0:*]\n"
                "set y2range [*:*]\nset y2tics\nset xlabel 'iteration'\nset ylabel 'PQ Index' textcolor rgb '%s'\n"
                "set y2label 'accuracy, %%'\nunset key\nset multiplot layout %zu,2 title 'PQ Index at the scope "
                "(solid), accuracy "
                "(dashed), phases and where to stop'\n",
                sap__colours_light[0], (panels + 1) / 2);
  for (size_t i = 0; i < section->series_count; i++)
    if (has_phase_panel(&section->series[i])) add_phase_panel(script, &section->series[i], i);
  sap__text_add(script, "unset multiplot\n");
}
