// host.h for a count of what kernels do: every arithmetic operation, and every number that is read or written.
//
// The stand-in replaces `float` and `double` by Number, and pointers by Memory, before it compiles the source.
#include "host.h"

#include <cstdint>
#include <type_traits>
#include <vector>

static struct Counts {
    double operations = 0;
    double asked = 0;   // bytes that threads ask for
    double read = 0;    // bytes that have to be read, and written, if a launch asks for each only once
    double written = 0;
} counts;

// Which addresses were met in this launch. Two that share a slot are counted as often as they take turns.
struct Met {
    static const size_t SLOTS = size_t(1) << 23;
    std::vector<uint64_t> slots = std::vector<uint64_t>(SLOTS);
    bool first(uint64_t address, size_t size, uint64_t launch) {
        const uint64_t tag = (launch << 40) | ((address / size) & ((uint64_t(1) << 40) - 1));
        uint64_t &slot = slots[(address / size) % SLOTS];
        if (slot == tag) return false;
        slot = tag;
        return true;
    }
};
static Met *reads = new Met, *writes = new Met;
static uint64_t launch = 1;

extern "C" void take_counts(double *out) {
    out[0] = counts.operations, out[1] = counts.asked, out[2] = counts.read, out[3] = counts.written;
    counts = Counts();
    launch++;
}

template <typename T>
inline void count_read(const T *at) {
    counts.asked += sizeof(T);
    if (reads->first((uint64_t)at, sizeof(T), launch)) counts.read += sizeof(T);
}

template <typename T>
inline void count_write(const T *at) {
    counts.asked += sizeof(T);
    if (writes->first((uint64_t)at, sizeof(T), launch)) counts.written += sizeof(T);
}

template <typename F>
struct Number {
    F value;
    Number() = default;
    template <typename A, typename = std::enable_if_t<std::is_arithmetic_v<A>>>
    Number(A a) : value((F)a) {}
    template <typename G, std::enable_if_t<(sizeof(G) < sizeof(F)), int> = 0>
    Number(Number<G> other) : value(other.value) {}
    template <typename G, std::enable_if_t<(sizeof(G) > sizeof(F)), int> = 0>
    Number(Number<G> other) : value((F)other.value) {}
    template <typename A, typename = std::enable_if_t<std::is_arithmetic_v<A>>>
    explicit operator A() const { return (A)value; }

    friend Number operator+(Number a, Number b) { counts.operations++; return a.value + b.value; }
    friend Number operator-(Number a, Number b) { counts.operations++; return a.value - b.value; }
    friend Number operator*(Number a, Number b) { counts.operations++; return a.value * b.value; }
    friend Number operator/(Number a, Number b) { counts.operations++; return a.value / b.value; }
    friend Number operator-(Number a) { return -a.value; }
    friend bool operator<(Number a, Number b) { return a.value < b.value; }
    friend bool operator>(Number a, Number b) { return a.value > b.value; }
    friend bool operator<=(Number a, Number b) { return a.value <= b.value; }
    friend bool operator>=(Number a, Number b) { return a.value >= b.value; }
    friend bool operator==(Number a, Number b) { return a.value == b.value; }
    Number &operator+=(Number b) { counts.operations++; value += b.value; return *this; }
};
typedef Number<float> Float;
typedef Number<double> Double;

#define UNARY(name) \
    inline Float name(Float a) { counts.operations++; return ::name(a.value); }
#define BINARY(name, N) \
    inline N name(N a, N b) { counts.operations++; return ::name(a.value, b.value); }
UNARY(floorf)
UNARY(sqrtf)
UNARY(exp2f)
UNARY(log2f)
UNARY(rintf)
UNARY(fabsf)
BINARY(fminf, Float)
BINARY(fmaxf, Float)
BINARY(fmax, Double)

// A number in memory that a kernel may write to.
template <typename T>
struct Place {
    T *at;
    bool counted;
    operator T() const {
        if (counted) count_read(at);
        return *at;
    }
    void operator=(T value) const {
        if (counted) count_write(at);
        *at = value;
    }
    void operator=(const Place &other) const { *this = (T)other; }
    void operator+=(T value) const { *this = (T) * this + value; }
};

// A pointer. Arrays of a thread are of Number, and stay in registers; those of the device come as they are.
template <typename T>
struct Memory {
    typedef std::remove_const_t<T> Plain;
    T *at;
    bool counted;
    Memory(T *at, bool counted) : at(at), counted(counted) {}
    Memory(Plain *at) : at(at), counted(false) {}
    template <typename Raw>
    explicit Memory(Raw *at) : at((T *)at), counted(true) {}
    Memory(const Memory<Plain> &other, int = 0) : at(other.at), counted(other.counted) {}
    Memory operator+(size_t n) const { return Memory(at + n, counted); }
    Memory operator-(size_t n) const { return Memory(at - n, counted); }
    Memory &operator+=(size_t n) { at += n; return *this; }
    auto operator[](ptrdiff_t i) const {
        if constexpr (std::is_const_v<T>) {
            if (counted) count_read(at + i);
            return Plain(at[i]);
        } else {
            return Place<T>{at + i, counted};
        }
    }
    auto operator*() const { return (*this)[0]; }
};
