using System.ComponentModel.DataAnnotations;

namespace Grok1Cluster.Grpc;

/// <summary>Checks options by their attributes.</summary>
internal static class OptionsCheck
{
    /// <exception cref="ArgumentException">Names every property out of range at once.</exception>
    public static T Valid<T>(T options) where T : class
    {
        var errors = new List<ValidationResult>();
        if (!Validator.TryValidateObject(options, new ValidationContext(options), errors, validateAllProperties: true))
            throw new ArgumentException($"{typeof(T).Name}: {string.Join(" ", errors.Select(error => error.ErrorMessage))}");
        return options;
    }
}
