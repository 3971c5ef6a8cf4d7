// Convolution and batch normalisation of many networks at once.
//
// A `lanes` is eight numbers, one of each of eight networks, and one instruction of the processor works on all eight. So
// the loops below read like those for a single network. Eight networks are a group; the groups follow one another.
//
// Layouts, innermost index last, every entry a `lanes`:
//   features  (group, chunk, position, channel, sample)    a position is a pixel, rows after one another
//   weights   (group, output channel, input channel, tap)
// The samples of a batch are cut into chunks, so that what a convolution reads again is still near the processor.
// A tap is one entry of a filter. Which input position a tap meets at an output position is listed by the caller, so that
// stride and padding appear nowhere here: for output position p the pairs are numbers starts[p] to starts[p + 1].

typedef float lanes __attribute__((vector_size(32)));

namespace {

constexpr long CHANNELS = 4, SAMPLES = 2;  // of a block: 4 x 2 sums, and what they need, fit the 16 vector registers

struct Taps {
    const int *starts, *position, *tap;
};

struct Sizes {
    long groups, chunks, inputs, outputs, input_positions, output_positions, samples;
    long group_stride, output_stride, input_stride;  // of the weights, in lanes
};

// C output channels at one output position, for S samples from `sample` on.
template <long C, long S>
[[gnu::noinline]] void correlate_block(const Sizes& size, const Taps& taps, const lanes* in, const lanes* weights,
                                       lanes* out, long position, long sample) {
    const long inputs = size.inputs, row = size.samples, across = size.output_stride, along = size.input_stride;
    lanes sum[C][S] = {};
    for (int pair = taps.starts[position]; pair < taps.starts[position + 1]; ++pair) {
        const lanes* x = in + taps.position[pair] * inputs * row + sample;
        const lanes* w = weights + taps.tap[pair];
        for (long i = 0; i < inputs; ++i, x += row, w += along) {
            lanes here[S];
            for (long s = 0; s < S; ++s) here[s] = x[s];
            for (long c = 0; c < C; ++c)
                for (long s = 0; s < S; ++s) sum[c][s] += w[c * across] * here[s];
        }
    }
    for (long c = 0; c < C; ++c)
        for (long s = 0; s < S; ++s) out[(position * size.outputs + c) * row + sample + s] = sum[c][s];
}

template <long C>
void correlate_channels(const Sizes& size, const Taps& taps, const lanes* in, const lanes* weights, lanes* out) {
    for (long position = 0; position < size.output_positions; ++position) {
        long sample = 0;
        for (; sample + SAMPLES <= size.samples; sample += SAMPLES)
            correlate_block<C, SAMPLES>(size, taps, in, weights, out, position, sample);
        for (; sample < size.samples; ++sample) correlate_block<C, 1>(size, taps, in, weights, out, position, sample);
    }
}

// What C output channels at one output position add to the gradient of their weights.
template <long C, long I>
void weight_gradient_block(const Sizes& size, const Taps& taps, const lanes* in, const lanes* slope, lanes* gradient,
                           long position, long input) {
    for (int pair = taps.starts[position]; pair < taps.starts[position + 1]; ++pair) {
        const lanes* x = in + (taps.position[pair] * size.inputs + input) * size.samples;
        const lanes* g = slope + position * size.outputs * size.samples;
        lanes sum[C][I] = {};
        for (long s = 0; s < size.samples; ++s)
            for (long c = 0; c < C; ++c)
                for (long i = 0; i < I; ++i)
                    sum[c][i] += g[c * size.samples + s] * x[i * size.samples + s];
        for (long c = 0; c < C; ++c)
            for (long i = 0; i < I; ++i)
                gradient[c * size.output_stride + (input + i) * size.input_stride + taps.tap[pair]] += sum[c][i];
    }
}

template <long C>
void weight_gradient_channels(const Sizes& size, const Taps& taps, const lanes* in, const lanes* slope, lanes* gradient) {
    for (long position = 0; position < size.output_positions; ++position) {
        long input = 0;
        for (; input + 2 <= size.inputs; input += 2)
            weight_gradient_block<C, 2>(size, taps, in, slope, gradient, position, input);
        for (; input < size.inputs; ++input)
            weight_gradient_block<C, 1>(size, taps, in, slope, gradient, position, input);
    }
}

// Not a number stays not a number, so that a diverged network shows.
lanes positive_part(lanes x) { return x < 0 ? lanes{} : x; }

lanes where_positive(lanes condition, lanes x) { return condition > 0 ? x : lanes{}; }

lanes square_root(lanes x) {
    for (int i = 0; i < 8; ++i) x[i] = __builtin_sqrtf(x[i]);
    return x;
}

}  // namespace

extern "C" {

// out[o, p, s] = sum over input channels i and pairs (q, t) at p of weights[o, i, t] in[i, q, s].
void correlate(const Sizes* size, const Taps* taps, const lanes* in, const lanes* weights, lanes* out) {
    for (long chunk = 0; chunk < size->groups * size->chunks; ++chunk) {
        const lanes* w = weights + chunk / size->chunks * size->group_stride;
        long c = 0;
        for (; c + CHANNELS <= size->outputs; c += CHANNELS)
            correlate_channels<CHANNELS>(*size, *taps, in, w + c * size->output_stride, out + c * size->samples);
        for (; c < size->outputs; ++c)
            correlate_channels<1>(*size, *taps, in, w + c * size->output_stride, out + c * size->samples);
        in += size->input_positions * size->inputs * size->samples;
        out += size->output_positions * size->outputs * size->samples;
    }
}

// gradient[o, i, t] += sum over pairs (p, q) of tap t and samples s of slope[o, p, s] in[i, q, s].
void weight_gradient(const Sizes* size, const Taps* taps, const lanes* in, const lanes* slope, lanes* gradient) {
    for (long chunk = 0; chunk < size->groups * size->chunks; ++chunk) {
        lanes* w = gradient + chunk / size->chunks * size->group_stride;
        long c = 0;
        for (; c + CHANNELS <= size->outputs; c += CHANNELS)
            weight_gradient_channels<CHANNELS>(*size, *taps, in, slope + c * size->samples, w + c * size->output_stride);
        for (; c < size->outputs; ++c)
            weight_gradient_channels<1>(*size, *taps, in, slope + c * size->samples, w + c * size->output_stride);
        in += size->input_positions * size->inputs * size->samples;
        slope += size->output_positions * size->outputs * size->samples;
    }
}

// Per channel: out = max(0, scale (in - mean) / sqrt(variance + epsilon) + shift), with the mean and the biased variance
// over all positions and samples; `positions` counts those of all chunks. Mean and 1 / sqrt(...), both (group, channel),
// are kept for the gradient.
void normalise(long groups, long positions, long channels, long samples, float epsilon, const lanes* in,
               const lanes* scale, const lanes* shift, long group_stride, lanes* mean, lanes* inverse, lanes* out) {
    const long row = channels * samples;
    const float count = positions * samples;
    for (long group = 0; group < groups; ++group, in += positions * row, out += positions * row)
        for (long c = 0; c < channels; ++c) {
            lanes total = {}, squares = {};
            for (long p = 0; p < positions; ++p) {  // sums of sums: fewer rounding errors
                const lanes* x = in + p * row + c * samples;
                lanes part = {};
                for (long s = 0; s < samples; ++s) part += x[s];
                total += part;
            }
            const lanes centre = total / count;
            for (long p = 0; p < positions; ++p) {
                const lanes* x = in + p * row + c * samples;
                lanes part = {};
                for (long s = 0; s < samples; ++s) part += (x[s] - centre) * (x[s] - centre);
                squares += part;
            }
            const lanes unit = 1.0f / square_root(squares / count + epsilon);
            const lanes factor = unit * scale[group * group_stride + c], offset = shift[group * group_stride + c];
            for (long p = 0; p < positions; ++p) {
                const lanes* x = in + p * row + c * samples;
                lanes* y = out + p * row + c * samples;
                for (long s = 0; s < samples; ++s) y[s] = positive_part((x[s] - centre) * factor + offset);
            }
            mean[group * channels + c] = centre;
            inverse[group * channels + c] = unit;
        }
}

// The gradients of what `normalise` computes, given `slope`, that of its output; those of scale and shift are
// (group, channel).
void normalise_gradient(long groups, long positions, long channels, long samples, const lanes* in, const lanes* scale,
                        long group_stride, const lanes* mean, const lanes* inverse, const lanes* out, const lanes* slope,
                        lanes* in_gradient, lanes* scale_gradient, lanes* shift_gradient) {
    const long row = channels * samples;
    const float count = positions * samples;
    for (long group = 0; group < groups; ++group)
        for (long c = 0; c < channels; ++c) {
            const long start = group * positions * row + c * samples;
            const lanes centre = mean[group * channels + c], unit = inverse[group * channels + c];
            lanes along = {}, total = {};
            for (long p = 0; p < positions; ++p) {
                lanes part_along = {}, part = {};
                for (long n = start + p * row; n < start + p * row + samples; ++n) {
                    const lanes g = where_positive(out[n], slope[n]);
                    part += g;
                    part_along += g * (in[n] - centre);
                }
                total += part;
                along += part_along;
            }
            scale_gradient[group * channels + c] = along * unit;
            shift_gradient[group * channels + c] = total;
            const lanes factor = scale[group * group_stride + c] * unit;
            const lanes mean_slope = total / count, mean_along = along * unit * unit / count;
            for (long p = 0; p < positions; ++p)
                for (long n = start + p * row; n < start + p * row + samples; ++n)
                    in_gradient[n] =
                        factor * (where_positive(out[n], slope[n]) - mean_slope - (in[n] - centre) * mean_along);
        }
}
}
